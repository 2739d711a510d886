/* `picket scan`: the sensor over capture files, without configuration, root or
 * server. Returns an exit code (common/exits.h). */
#ifndef SENSOR_SCAN_H
#define SENSOR_SCAN_H

int scan_main(int argc, char **argv);

#endif
