/* nDPI 4.2 as Debian 12 ships it; the version switches for later ones stand here
 * and nowhere else. 4.4 and later take flow information with each packet; 4.10
 * and later lost the guess argument of the give-up and gained a global context.
 *
 * DTLS stays out of the bitmask: 4.2 dereferences a null pointer on a DTLS
 * certificate (fixed upstream in 6c1accd2b). The other known killers are kept
 * away by the capturing process: empty payloads, packets beyond 9,216 bytes. */
#include "sensor/inspect_ndpi.h"

#include <stdlib.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <ndpi_api.h>
#pragma GCC diagnostic pop
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wconversion" /* its bitmask macros */
#endif

#define NDPI_AT_LEAST(major, minor) (NDPI_MAJOR > (major) || (NDPI_MAJOR == (major) && NDPI_MINOR >= (minor)))

struct inspect_ndpi {
	struct ndpi_detection_module_struct *module;
};

struct inspect_ndpi_flow {
	struct ndpi_flow_struct state;
};

struct inspect_ndpi *inspect_ndpi_new(void)
{
	struct inspect_ndpi *n = calloc(1, sizeof(*n));
	if (!n)
		return NULL;
#if NDPI_AT_LEAST(4, 10)
	n->module = ndpi_init_detection_module(NULL);
#else
	n->module = ndpi_init_detection_module(ndpi_no_prefs);
#endif
	if (!n->module) {
		free(n);
		return NULL;
	}
	NDPI_PROTOCOL_BITMASK wanted;
	NDPI_BITMASK_SET_ALL(wanted);
	NDPI_DEL_PROTOCOL_FROM_BITMASK(wanted, NDPI_PROTOCOL_DTLS);
	ndpi_set_protocol_detection_bitmask2(n->module, &wanted);
	ndpi_finalize_initialization(n->module);
	return n;
}

void inspect_ndpi_free(struct inspect_ndpi *n)
{
	if (!n)
		return;
	ndpi_exit_detection_module(n->module);
	free(n);
}

unsigned inspect_ndpi_protocols(struct inspect_ndpi *n)
{
	return ndpi_get_num_supported_protocols(n->module);
}

const char *inspect_ndpi_protocol(struct inspect_ndpi *n, unsigned id)
{
	return ndpi_get_proto_name(n->module, (uint16_t)id);
}

const char *inspect_ndpi_risk(unsigned bit)
{
	return bit > NDPI_NO_RISK && bit < NDPI_MAX_RISK ? ndpi_risk2str((ndpi_risk_enum)bit) : NULL;
}

struct inspect_ndpi_flow *inspect_ndpi_flow_new(void)
{
	return calloc(1, sizeof(struct inspect_ndpi_flow));
}

void inspect_ndpi_flow_free(struct inspect_ndpi_flow *f)
{
	if (!f)
		return;
	ndpi_free_flow_data(&f->state);
	free(f);
}

static struct inspect_ndpi_result result_of(const struct inspect_ndpi_flow *f, ndpi_protocol p)
{
#if NDPI_AT_LEAST(4, 12)
	uint16_t app = p.proto.app_protocol, master = p.proto.master_protocol;
#else
	uint16_t app = p.app_protocol, master = p.master_protocol;
#endif
	if (app == NDPI_PROTOCOL_UNKNOWN) {
		app = master;
		master = NDPI_PROTOCOL_UNKNOWN;
	}
	if (master == app)
		master = NDPI_PROTOCOL_UNKNOWN;
	return (struct inspect_ndpi_result){.app = app, .master = master, .risks = f->state.risk};
}

struct inspect_ndpi_result inspect_ndpi_packet(struct inspect_ndpi *n, struct inspect_ndpi_flow *f, const uint8_t *ip,
					       uint16_t len, uint64_t ms)
{
#if NDPI_AT_LEAST(4, 4)
	ndpi_protocol p = ndpi_detection_process_packet(n->module, &f->state, ip, len, ms, NULL);
#else
	ndpi_protocol p = ndpi_detection_process_packet(n->module, &f->state, ip, len, ms);
#endif
	struct inspect_ndpi_result r = result_of(f, p);
	r.final = r.app != NDPI_PROTOCOL_UNKNOWN && !ndpi_extra_dissection_possible(n->module, &f->state);
	return r;
}

struct inspect_ndpi_result inspect_ndpi_giveup(struct inspect_ndpi *n, struct inspect_ndpi_flow *f)
{
	uint8_t guessed = 0;
#if NDPI_AT_LEAST(4, 10)
	ndpi_protocol p = ndpi_detection_giveup(n->module, &f->state, &guessed);
#else
	ndpi_protocol p = ndpi_detection_giveup(n->module, &f->state, 1, &guessed);
#endif
	struct inspect_ndpi_result r = result_of(f, p);
	r.final = true;
	return r;
}
