/* One face for live capture (capture_live.c) and capture files (capture_file.c),
 * and the packet filter for files; live, the kernel filters. */
#include "sensor/capture.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "sensor/capture_file.h"
#include "sensor/capture_live.h"

enum {
	FILTERS_MAX = 32, /* link types of one pcapng file that a filter is compiled for */
	SNAPLEN_MAX = 256 << 10
};

struct filter {
	int link_type;
	struct bpf_program program;
};

struct capture {
	char *name, *filter_text;
	struct capture_live_handle *live;
	struct capture_file *file;
	uint64_t received; /* from a file */
	struct filter filter[FILTERS_MAX];
	size_t filters;
};

/* LINKTYPE_… numbers in files and libpcap's own DLT_… differ for a few. */
static int dlt_of(int link_type)
{
	switch (link_type) {
	case 100:
		return DLT_ATM_RFC1483;
	case 101:
		return DLT_RAW;
	default:
		return link_type;
	}
}

/* "Ethernet" */
static const char *link_type_text(int link_type)
{
	const char *text = pcap_datalink_val_to_description(dlt_of(link_type));
	return text ? text : "unknown link type";
}

static bool compile(struct capture *c, int link_type, struct err *e)
{
	struct filter *f = &c->filter[c->filters];
	pcap_t *p = pcap_open_dead(dlt_of(link_type), SNAPLEN_MAX);
	if (!p)
		return err_set(e, "filter \"%s\": no memory", c->filter_text);
	bool ok = pcap_compile(p, &f->program, c->filter_text, 1, PCAP_NETMASK_UNKNOWN) == 0;
	if (!ok)
		err_set(e, "filter \"%s\" cannot be used on \"%s\" (%s): %s", c->filter_text, c->name,
			link_type_text(link_type), pcap_geterr(p));
	pcap_close(p);
	f->link_type = link_type;
	c->filters += ok;
	return ok;
}

static const struct filter *filter_for(struct capture *c, int link_type, struct err *e)
{
	for (size_t i = 0; i < c->filters; i++) {
		if (c->filter[i].link_type == link_type)
			return &c->filter[i];
	}
	if (c->filters == FILTERS_MAX) {
		err_set(e, "filter \"%s\": more than %d link types in \"%s\"", c->filter_text, FILTERS_MAX, c->name);
		return NULL;
	}
	return compile(c, link_type, e) ? &c->filter[c->filters - 1] : NULL;
}

static bool passes(const struct filter *f, const struct raw_packet *p)
{
	struct pcap_pkthdr head = {.caplen = p->n, .len = p->wire_n};
	return pcap_offline_filter(&f->program, &head, p->data) != 0;
}

/* Takes out what the filter does not want. */
static bool filter_burst(struct capture *c, struct burst *b, struct err *e)
{
	size_t kept = 0;
	for (size_t i = 0; i < b->n; i++) {
		const struct filter *f = filter_for(c, b->packet[i].link_type, e);
		if (!f)
			return false;
		if (passes(f, &b->packet[i]))
			b->packet[kept++] = b->packet[i];
	}
	b->n = kept;
	return true;
}

static struct capture *new_capture(const char *name, const char *filter)
{
	struct capture *c = xcalloc(1, sizeof(*c));
	c->name = xstrdup(name);
	c->filter_text = filter && *filter ? xstrdup(filter) : NULL;
	return c;
}

struct capture *capture_open_live(const struct capture_live *want, struct err *e)
{
	struct capture *c = new_capture(want->interface, want->filter);
	c->live = capture_live_open(want, e);
	if (c->live)
		return c;
	capture_close(c);
	return NULL;
}

struct capture *capture_open_file(const char *path, const char *filter, struct err *e)
{
	struct capture *c = new_capture(path, filter);
	c->file = capture_file_open(path, e);
	bool ok = c->file != NULL;
	/* The link types of a pcapng file turn up later; its filter is tried on Ethernet for its grammar. */
	if (ok && c->filter_text) {
		int link_type = capture_file_link_type(c->file);
		ok = compile(c, link_type < 0 ? DLT_EN10MB : link_type, e);
	}
	if (ok)
		return c;
	capture_close(c);
	return NULL;
}

static enum capture_result read_file(struct capture *c, struct burst *burst, struct err *e)
{
	enum capture_result r;
	do {
		r = capture_file_read(c->file, burst, e);
		if (r != CAPTURE_PACKETS)
			return r;
		if (c->filter_text && !filter_burst(c, burst, e)) {
			burst->n = 0;
			return CAPTURE_FAILED;
		}
	} while (burst->n == 0);
	c->received += burst->n;
	return r;
}

enum capture_result capture_read(struct capture *c, struct burst *burst, int wait_ms, struct err *e)
{
	return c->live ? capture_live_read(c->live, burst, wait_ms, e) : read_file(c, burst, e);
}

bool capture_stats(struct capture *c, struct capture_stats *out)
{
	if (c->live)
		return capture_live_stats(c->live, out);
	*out = (struct capture_stats){.received = c->received};
	return true;
}

int64_t capture_ring_bytes(const struct capture *c)
{
	return c->live ? capture_live_ring_bytes(c->live) : 0;
}

const char *capture_name(const struct capture *c)
{
	return c->name;
}

static void describe_live(const struct capture *c, char *out, size_t n)
{
	snprintf(out, n, "%s: %s, ring %lld MiB, snaplen %d%s%s", c->name,
		 link_type_text(capture_live_link_type(c->live)), (long long)capture_live_ring_bytes(c->live) >> 20,
		 capture_live_snaplen(c->live), c->filter_text ? ", filter " : "",
		 c->filter_text ? c->filter_text : "");
}

void capture_describe(const struct capture *c, char *out, size_t n)
{
	if (c->live) {
		describe_live(c, out, n);
		return;
	}
	int link_type = capture_file_link_type(c->file);
	snprintf(out, n, "%s: %s%s%s%s%s", c->name, capture_file_format(c->file), link_type < 0 ? "" : ", ",
		 link_type < 0 ? "" : link_type_text(link_type), c->filter_text ? ", filter " : "",
		 c->filter_text ? c->filter_text : "");
}

bool capture_cut(const struct capture *c)
{
	return c->file && capture_file_cut(c->file);
}

void capture_close(struct capture *c)
{
	if (!c)
		return;
	capture_live_close(c->live);
	capture_file_close(c->file);
	for (size_t i = 0; i < c->filters; i++)
		pcap_freecode(&c->filter[i].program);
	free(c->filter_text);
	free(c->name);
	free(c);
}
