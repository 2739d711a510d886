#include "sensor/classify.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/scratch.h"
#include "rules/ndpi_names.h"
#include "sensor/unread.h"

#define REMEMBERED                                                                                                     \
	65536 /* flows that wait for nDPI's last word; the oldest is forgotten (its verdict is not matched) */
#define VERDICTS 64

/* The flow as it was at its first packet; the record itself, which may be another
 * flow's by now. */
struct waiting {
	struct flow copy, *live;
	uint16_t protocol; /* ndpi_protocol_number() of nDPI's last word */
	bool judged;       /* it was the last */
	bool over;         /* the flow has ended; copy.parser is what it was recognised as */
};

struct classifier {
	struct dpi *dpi;
	struct inspector *inspector;
	struct ledger *ledger;
	enum dpi_mode mode;
	struct waiting *waiting; /* by serial % REMEMBERED */
	bool ended;              /* the flow table is gone */
};

struct classifier *classifier_new(struct dpi *dpi, struct inspector *ins, struct ledger *ledger)
{
	struct classifier *c = xcalloc(1, sizeof(*c));
	*c = (struct classifier){.dpi = dpi, .inspector = ins, .ledger = ledger};
	if (dpi)
		c->waiting = xcalloc(REMEMBERED, sizeof(*c->waiting));
	return c;
}

void classifier_free(struct classifier *c)
{
	if (!c)
		return;
	free(c->waiting);
	free(c);
}

void classifier_mode(struct classifier *c, enum dpi_mode mode)
{
	c->mode = c->dpi ? mode : DPI_OFF;
}

/* Packets without payload tell nDPI nothing (measured: no metadata lost); of
 * protocols other than TCP and UDP one packet is enough. */
static bool wants_packet(const struct classifier *c, const struct flow *f, const struct layer *l)
{
	if (c->mode == DPI_OFF || (c->mode == DPI_UNRECOGNISED && f->parser))
		return false;
	if (l->fragment || l->truncated || l->arp)
		return false;
	if (l->proto == IPPROTO_TCP)
		return l->payload_n && f->dpi_seen < DPI_PACKETS_TCP;
	if (l->proto == IPPROTO_UDP)
		return l->payload_n && f->dpi_seen < DPI_PACKETS_UDP;
	return c->mode == DPI_ALL && !f->dpi_seen;
}

void classify_packet(struct classifier *c, struct flow *f, enum side side, const struct layer *l, int64_t ts_us)
{
	if (!wants_packet(c, f, l))
		return;
	f->dpi_seen++;
	if (!(f->flags & FLOW_DPI)) {
		f->flags |= FLOW_DPI;
		c->waiting[f->serial % REMEMBERED] = (struct waiting){.copy = *f, .live = f};
	}
	dpi_submit(c->dpi, f->serial, ts_us, l->ip, l->ip_n, side == TO_SERVER);
}

void classify_shed(struct classifier *c, struct flow *f, const struct layer *l)
{
	if (!wants_packet(c, f, l))
		return;
	f->dpi_seen++;
	ledger_count(c->ledger, LEDGER_SHED_DPI);
}

/* Known when the flow is over and nDPI has spoken, whichever comes last. */
static void count_unread(struct classifier *c, const struct waiting *w)
{
	if (w->over && w->judged && !w->copy.parser)
		unread_count(c->ledger, w->protocol);
}

void classify_end(struct classifier *c, struct flow *f)
{
	struct waiting *waiting = &c->waiting[f->serial % REMEMBERED];
	if (!(f->flags & FLOW_DPI))
		return;
	f->flags &= (uint8_t)~FLOW_DPI;
	dpi_end(c->dpi, f->serial);
	if (waiting->copy.serial != f->serial)
		return;
	waiting->copy.parser = f->parser;
	waiting->over = true;
	count_unread(c, waiting);
}

static void match_verdict(struct classifier *c, const struct dpi_verdict *v, int64_t ts_us)
{
	struct waiting *waiting = &c->waiting[v->flow % REMEMBERED];
	const struct flow *f = &waiting->copy;
	if (f->serial != v->flow)
		return;
	if (v->final && !waiting->judged) {
		waiting->protocol = (uint16_t)ndpi_protocol_number(v->protocol);
		waiting->judged = true;
		count_unread(c, waiting);
	}
	if (v->final && !c->ended && waiting->live->serial == v->flow)
		waiting->live->dpi_seen = UINT8_MAX; /* nDPI would ignore what comes now */
	struct inspect in = inspector_view(c->inspector, f, ts_us);
	in.parser = NULL;
	if (!wanted(&in, WHERE_DPI_PROTOCOL) && !wanted(&in, WHERE_DPI_RISK))
		return;
	observe(&in, WHERE_DPI_PROTOCOL, v->protocol, strlen(v->protocol));
	if (v->master[0])
		observe(&in, WHERE_DPI_PROTOCOL, v->master, strlen(v->master));
	for (unsigned bit = 0; bit < 64; bit++) {
		const char *name = v->risks >> bit & 1 ? ndpi_risk_name(bit) : NULL;
		if (name)
			observe(&in, WHERE_DPI_RISK, name, strlen(name));
	}
}

void classify_finish(struct classifier *c, int64_t ts_us)
{
	c->ended = true;
	if (c->dpi)
		dpi_finish(c->dpi);
	classify_collect(c, ts_us);
}

void classify_collect(struct classifier *c, int64_t ts_us)
{
	SCRATCH struct dpi_verdict v[VERDICTS];
	if (c->mode == DPI_OFF)
		return;
	for (size_t n; (n = dpi_collect(c->dpi, v, VERDICTS)) > 0;)
		for (size_t i = 0; i < n; i++)
			match_verdict(c, &v[i], ts_us);
}
