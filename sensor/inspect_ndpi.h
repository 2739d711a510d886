/* The door to nDPI: the only file that calls it. Runs in the nDPI process alone
 * (sensor/dpi_worker.c): what goes through here may crash, hang, or be taken
 * over by what it reads. */
#ifndef SENSOR_INSPECT_NDPI_H
#define SENSOR_INSPECT_NDPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct inspect_ndpi;      /* a detection module */
struct inspect_ndpi_flow; /* nDPI's state of one flow */

struct inspect_ndpi_result {
	uint16_t app, master; /* protocol numbers; 0 = unknown; master 0 when it is the same */
	uint64_t risks;
	bool final; /* more packets would bring nothing */
};

#define INSPECT_NDPI_PAD 64 /* readable zero bytes that must follow each packet */

struct inspect_ndpi *inspect_ndpi_new(void); /* NULL: nDPI refused */
void inspect_ndpi_free(struct inspect_ndpi *n);

unsigned inspect_ndpi_protocols(struct inspect_ndpi *n);
const char *inspect_ndpi_protocol(struct inspect_ndpi *n, unsigned id);
const char *inspect_ndpi_risk(unsigned bit); /* NULL beyond the last and for 0 */

struct inspect_ndpi_flow *inspect_ndpi_flow_new(void); /* NULL: no memory */
void inspect_ndpi_flow_free(struct inspect_ndpi_flow *f);

/* ip: an IP packet with INSPECT_NDPI_PAD zero bytes behind it. */
struct inspect_ndpi_result inspect_ndpi_packet(struct inspect_ndpi *n, struct inspect_ndpi_flow *f, const uint8_t *ip,
					       uint16_t len, uint64_t ms);
/* No more packets: the best that can be said. */
struct inspect_ndpi_result inspect_ndpi_giveup(struct inspect_ndpi *n, struct inspect_ndpi_flow *f);

#endif
