/* Live capture. What libpcap 1.10 makes of Linux' packet sockets decides here:
 *
 * - Never immediate mode: it falls back to TPACKET_V2, six times as dear. Without
 *   it the ring is TPACKET_V3, blocks of 256 KiB that the kernel hands over when
 *   they are full or BLOCK_MS old.
 * - A blocking pcap_dispatch() never returns on a quiet interface: the handle is
 *   non-blocking and poll() waits.
 * - A block goes back to the kernel when the callback of its last packet returns,
 *   so packets that are to outlive the callback are copied in it: into an arena of
 *   BURST_MAX largest packets, of which only the pages in use are ever touched.
 * - PACKET_FANOUT can be joined only after activation, when every worker's socket
 *   already sees every packet. So: a filter that drops all, join, then the real
 *   filter; what came before is known by its time and thrown away. To empty the ring
 *   is not enough: the block that the kernel is filling cannot be read yet.
 * - ps_recv includes what was dropped; the counters are 32 bits wide and wrap:
 *   capture_stats() adds up the differences, so it must be called at least once
 *   per 2^32 packets.
 * - On the loopback interface the kernel shows each packet twice, going out and
 *   coming in; libpcap leaves out the outgoing one, but ps_recv has both.
 * - An interface that goes down is waited for; one that is removed is a failure.
 * - A VLAN tag that the network card took out is put back by libpcap. */
#include "sensor/capture_live.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

enum {
	BLOCK_MS = 10, /* how long a packet may wait in a block that is not full */
	SNAPLEN = 65535,
	SNAPLEN_MAX = 256 << 10,
	RING_MIB = 64,
	RING_MIB_MAX = 2047, /* pcap_set_buffer_size() takes an int */
	NAMES_MAX = 16,
	GROUP_STEP = 131, /* groups of two interfaces differ */
	EARLY_MAX_S = 2   /* by then the kernel has handed all over that came before the join */
};

struct capture_live_handle {
	pcap_t *pcap;
	char *interface;
	int fd, link_type, snaplen;
	int64_t ring_bytes;
	struct burst *burst;               /* being filled */
	int64_t joined_us, joined_mono_us; /* packets from before are everybody's; 0: all are ours */
	uint8_t *arena;
	size_t arena_n, arena_used;
	struct pcap_stat last; /* as read the last time */
	struct capture_stats total;
};

/* "lo, eth0" */
static void interface_names(char *out, size_t n)
{
	struct if_nameindex *list = if_nameindex();
	size_t at = 0;
	out[0] = '\0';
	for (int i = 0; list && list[i].if_index && i < NAMES_MAX && at < n; i++)
		at += (size_t)snprintf(out + at, n - at, "%s%s", i ? ", " : "", list[i].if_name);
	if (list)
		if_freenameindex(list);
}

static void program_path(char *out, size_t n)
{
	ssize_t got = readlink("/proc/self/exe", out, n - 1);
	out[got > 0 ? got : 0] = '\0';
}

static bool explain(const char *interface, int status, pcap_t *p, struct err *e)
{
	char names[256];
	switch (status) {
	case PCAP_ERROR_NO_SUCH_DEVICE:
		interface_names(names, sizeof(names));
		return err_set(e, "cannot capture on \"%s\": no such interface; this machine has: %s", interface,
			       names);
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		program_path(names, sizeof(names));
		return err_set(
		    e, "cannot capture on \"%s\": not permitted; run as root, or once: setcap cap_net_raw+ep %s",
		    interface, names);
	case PCAP_ERROR_IFACE_NOT_UP:
		return err_set(e, "cannot capture on \"%s\": the interface is down; ip link set %s up", interface,
			       interface);
	default:
		return err_set(e, "cannot capture on \"%s\": %s", interface,
			       status == PCAP_ERROR ? pcap_geterr(p) : pcap_statustostr(status));
	}
}

static bool activate(struct capture_live_handle *h, const struct capture_live *want, struct err *e)
{
	char problem[PCAP_ERRBUF_SIZE];
	h->pcap = pcap_create(want->interface, problem);
	if (!h->pcap)
		return err_set(e, "cannot capture on \"%s\": %s", want->interface, problem);
	pcap_set_snaplen(h->pcap, h->snaplen);
	pcap_set_promisc(h->pcap, want->promiscuous);
	pcap_set_timeout(h->pcap, BLOCK_MS);
	pcap_set_buffer_size(h->pcap, (int)h->ring_bytes);
	int status = pcap_activate(h->pcap);
	if (status < 0)
		return explain(want->interface, status, h->pcap, e);
	if (status > 0)
		log_warnx("capture on \"%s\": %s", want->interface, pcap_statustostr(status));
	if (pcap_setnonblock(h->pcap, 1, problem) < 0)
		return err_set(e, "cannot capture on \"%s\": %s", want->interface, problem);
	h->fd = pcap_get_selectable_fd(h->pcap);
	h->link_type = pcap_datalink(h->pcap);
	return true;
}

static bool set_filter(struct capture_live_handle *h, const char *text, struct err *e)
{
	struct bpf_program program;
	if (pcap_compile(h->pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN) < 0)
		return err_set(e, "filter \"%s\" cannot be used on \"%s\": %s", text, h->interface,
			       pcap_geterr(h->pcap));
	int r = pcap_setfilter(h->pcap, &program);
	pcap_freecode(&program);
	if (r < 0)
		return err_set(e, "filter \"%s\" cannot be set on \"%s\": %s", text, h->interface,
			       pcap_geterr(h->pcap));
	return true;
}

static bool join_fanout(struct capture_live_handle *h, int group, struct err *e)
{
	struct bpf_insn drop_all = {.code = BPF_RET | BPF_K, .k = 0};
	struct bpf_program program = {.bf_len = 1, .bf_insns = &drop_all};
	if (pcap_setfilter(h->pcap, &program) < 0)
		return err_set(e, "cannot set a filter on \"%s\": %s", h->interface, pcap_geterr(h->pcap));
	/* The sockets of an interface that is gone are in their group still, and a group is of one
	 * interface: the one that came back is another, with another number. */
	group += (int)if_nametoindex(h->interface) * GROUP_STEP;
	uint32_t how = ((uint32_t)group & 0xffff) | (uint32_t)(PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG) << 16;
	if (setsockopt(pcap_fileno(h->pcap), SOL_PACKET, PACKET_FANOUT, &how, sizeof(how)) < 0)
		return err_errno(e, "cannot share \"%s\" between workers (PACKET_FANOUT group %d)", h->interface,
				 group);
	h->joined_us = clock_wall_us();
	h->joined_mono_us = clock_mono_us();
	struct pcap_stat ignored;
	if (pcap_stats(h->pcap, &ignored) == 0)
		h->last = ignored;
	return true;
}

struct capture_live_handle *capture_live_open(const struct capture_live *want, struct err *e)
{
	struct capture_live_handle *h = xcalloc(1, sizeof(*h));
	bool filtered = want->filter && *want->filter;
	h->interface = xstrdup(want->interface);
	h->snaplen = want->snaplen > 0 ? want->snaplen : SNAPLEN;
	if (h->snaplen > SNAPLEN_MAX)
		h->snaplen = SNAPLEN_MAX;
	h->ring_bytes = want->ring_bytes > 0 ? want->ring_bytes : (int64_t)RING_MIB << 20;
	if (h->ring_bytes > (int64_t)RING_MIB_MAX << 20)
		h->ring_bytes = (int64_t)RING_MIB_MAX << 20;
	if (!activate(h, want, e) || (want->fanout_group && !join_fanout(h, want->fanout_group, e)) ||
	    ((filtered || want->fanout_group) && !set_filter(h, filtered ? want->filter : "", e))) {
		capture_live_close(h);
		return NULL;
	}
	h->arena_n = (size_t)h->snaplen * BURST_MAX;
	h->arena = xmalloc(h->arena_n);
	return h;
}

void capture_live_close(struct capture_live_handle *h)
{
	if (!h)
		return;
	if (h->pcap)
		pcap_close(h->pcap);
	free(h->arena);
	free(h->interface);
	free(h);
}

/* Whether all workers have this packet, because it came before they shared the interface.
 * It ends with the first that came later, and in case the clock was set back after a while. */
static bool early(struct capture_live_handle *h, int64_t ts_us)
{
	if (ts_us < h->joined_us && clock_mono_us() < h->joined_mono_us + EARLY_MAX_S * 1000000)
		return true;
	h->joined_us = 0;
	return false;
}

static void keep(u_char *user, const struct pcap_pkthdr *head, const u_char *data)
{
	struct capture_live_handle *h = (struct capture_live_handle *)(void *)user;
	struct burst *b = h->burst;
	uint32_t n = head->caplen;
	int64_t ts_us = (int64_t)head->ts.tv_sec * 1000000 + head->ts.tv_usec;
	if (h->joined_us && early(h, ts_us))
		return;
	if (b->n == BURST_MAX || n > h->arena_n - h->arena_used)
		return; /* cannot be: at most BURST_MAX are asked for, each at most snaplen */
	struct raw_packet *p = &b->packet[b->n++];
	uint8_t *to = h->arena + h->arena_used;
	memcpy(to, data, n);
	h->arena_used += n;
	*p = (struct raw_packet){
	    .ts_us = ts_us, .data = to, .n = n, .wire_n = head->len > n ? head->len : n, .link_type = h->link_type};
}

static enum capture_result failed(const struct capture_live_handle *h, struct err *e)
{
	if (if_nametoindex(h->interface) == 0)
		err_set(e, "capture on \"%s\" ended: the interface is gone", h->interface);
	else
		err_set(e, "capture on \"%s\" ended: %s", h->interface, pcap_geterr(h->pcap));
	return CAPTURE_FAILED;
}

/* What is in the ring now. */
static int collect(struct capture_live_handle *h, struct burst *burst)
{
	h->burst = burst;
	burst->n = 0;
	h->arena_used = 0;
	return pcap_dispatch(h->pcap, BURST_MAX, keep, (u_char *)h);
}

enum capture_result capture_live_read(struct capture_live_handle *h, struct burst *burst, int wait_ms, struct err *e)
{
	int n = collect(h, burst);
	if (n == 0 && wait_ms) {
		struct pollfd p = {.fd = h->fd, .events = POLLIN};
		if (poll(&p, 1, wait_ms) <= 0)
			return CAPTURE_IDLE;
		n = collect(h, burst);
	}
	if (n < 0 && n != PCAP_ERROR_BREAK && burst->n == 0)
		return failed(h, e);
	return burst->n ? CAPTURE_PACKETS : CAPTURE_IDLE;
}

/* The counters wrap at 32 bits: unsigned differences stay right. */
bool capture_live_stats(struct capture_live_handle *h, struct capture_stats *out)
{
	struct pcap_stat now;
	bool ok = pcap_stats(h->pcap, &now) == 0;
	if (ok) {
		uint32_t seen = now.ps_recv - h->last.ps_recv, dropped = now.ps_drop - h->last.ps_drop;
		h->total.received += seen > dropped ? seen - dropped : 0;
		h->total.dropped_kernel += dropped;
		h->total.dropped_interface += (uint32_t)(now.ps_ifdrop - h->last.ps_ifdrop);
		h->last = now;
	}
	*out = h->total;
	return ok;
}

int capture_live_link_type(const struct capture_live_handle *h)
{
	return h->link_type;
}

int capture_live_snaplen(const struct capture_live_handle *h)
{
	return h->snaplen;
}

int64_t capture_live_ring_bytes(const struct capture_live_handle *h)
{
	return h->ring_bytes;
}
