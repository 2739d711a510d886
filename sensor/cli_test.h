/* `picket rules test`: whether indicators hit the captures that their authors
 * named, and miss the others. */
#ifndef SENSOR_CLI_TEST_H
#define SENSOR_CLI_TEST_H

int cli_test(int argc, char **argv);

#endif
