/* Which sensors match with a version of a set: their receipts in Redis. */
#ifndef COLLECTOR_CLI_RECEIPTS_H
#define COLLECTOR_CLI_RECEIPTS_H

#include <stdint.h>

#include "collector/cli.h"

/* Waits until every connected sensor that takes sets (of this ring; "" = any)
 * has answered, and prints who matches since when and who does not. began_us:
 * monotonic, when it was published. EXIT_OK when all match, else EXIT_FINDINGS. */
int receipts_wait(struct cli *c, const char *set, uint32_t version, const char *ring, int64_t began_us,
		  int64_t timeout_ms);

#endif
