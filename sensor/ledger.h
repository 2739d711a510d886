/* The packet ledger. Every packet that was received ends in exactly one counter
 * of the first group: packets.received = sum of the ends, for every capture.
 * The second group counts events on the way. One ledger per worker; they are
 * summed when they are shown. Never a silent limit: each has its counter here. */
#ifndef SENSOR_LEDGER_H
#define SENSOR_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "rules/ndpi_names.h"

#define LEDGER_ENDS(X)                                                                                                 \
	X(END_INSPECTED, "end.inspected", "payload went to a transaction parser or to probing")                        \
	X(END_FLOW, "end.flow", "IP packet without payload to inspect, or of a flow whose inspection has ended")       \
	X(END_FRAGMENT, "end.fragment", "fragment kept for reassembly or part of a datagram that never completed")     \
	X(END_ARP, "end.arp", "ARP: addresses matched")                                                                \
	X(END_NOT_IP, "end.not_ip", "neither IP nor ARP (LLDP, STP, IS-IS, …)")                                        \
	X(END_LINK_TYPE, "end.link_type", "link type that Picket does not read")                                       \
	X(END_TRUNCATED, "end.truncated", "cut before the end of its headers")                                         \
	X(END_MALFORMED, "end.malformed", "header with impossible lengths or values")                                  \
	X(END_TOO_DEEP, "end.too_deep", "more nested headers or tunnels than the limit")                               \
	X(END_SHED, "end.shed", "payload set aside under overload: addresses were still matched")

#define LEDGER_EVENTS(X)                                                                                               \
	X(RECEIVED, "packets.received", "packets handed over by the capture")                                          \
	X(BYTES, "packets.bytes", "their bytes on the wire")                                                           \
	X(CAPTURE_CUT, "packets.cut", "packets captured shorter than they were on the wire")                           \
	X(DROP_KERNEL, "drops.kernel", "packets that the kernel dropped: the ring was full")                           \
	X(DROP_INTERFACE, "drops.interface", "packets that the interface dropped")                                     \
	X(FILE_CUT, "capture.file_cut", "capture files that end in the middle of a packet")                            \
	X(CHECKSUM, "decode.bad_checksum", "IP, TCP or UDP checksum wrong: counted, not dropped")                      \
	X(VLAN, "decode.vlan", "packets with a VLAN tag")                                                              \
	X(TUNNEL, "decode.tunnel", "tunnelled packets unwrapped")                                                      \
	X(TUNNEL_REFUSED, "decode.tunnel_refused", "looked like a tunnel, inside was none: taken as plain payload")    \
	X(DECODE_LIMIT, "decode.limit", "VLAN tags beyond the four that are told apart")                               \
	X(FRAG_SEEN, "defrag.fragments", "IP fragments")                                                               \
	X(FRAG_DONE, "defrag.completed", "datagrams put together")                                                     \
	X(FRAG_OVERLAP, "defrag.overlap", "fragments that overlap: the first copy counts")                             \
	X(FRAG_TIMEOUT, "defrag.timeout", "incomplete datagrams given up after 30 s")                                  \
	X(FRAG_BEGUN, "defrag.begun", "incomplete datagrams that were given up, whose beginning was inspected")        \
	X(FRAG_LIMIT, "defrag.limit", "incomplete datagrams dropped because of a memory limit")                        \
	X(FLOWS, "flow.created", "flows")                                                                              \
	X(FLOW_EXPIRED, "flow.expired", "flows that ended by time")                                                    \
	X(FLOW_EVICTED, "flow.evicted", "flows pushed out because the table was full")                                 \
	X(STREAM_OVERLAP, "stream.overlap", "TCP segments that overlap what was there, same bytes")                    \
	X(STREAM_CONFLICT, "stream.conflict", "TCP overlap with other bytes: the first copy counts")                   \
	X(STREAM_GAP, "stream.gap", "places where TCP bytes were lost")                                                \
	X(STREAM_GAP_BYTES, "stream.gap_bytes", "TCP bytes that were lost")                                            \
	X(STREAM_REORDER, "stream.reordered", "TCP segments that waited for an earlier one")                           \
	X(STREAM_OUT_OF_WINDOW, "stream.out_of_window", "TCP segments far off the sequence: ignored")                  \
	X(STREAM_CHECKSUM, "stream.bad_checksum",                                                                      \
	  "TCP segments with a bad checksum, set aside until the other side acknowledges them")                        \
	X(STREAM_TTL, "stream.low_ttl",                                                                                \
	  "TCP segments whose TTL is far below their side's, set aside until the other side acknowledges them")        \
	X(STREAM_STAMP, "stream.old_stamp",                                                                            \
	  "TCP segments whose time stamp is older than their side's, set aside until the other side acknowledges "     \
	  "them")                                                                                                      \
	X(STREAM_URGENT, "stream.urgent", "TCP segments with urgent data: read in line, as the others")                \
	X(STREAM_LIMIT, "stream.limit", "TCP segments not kept because of a memory limit")                             \
	X(PARSER_MEMORY, "inspect.memory", "flows whose parser met the memory limit")                                  \
	X(PARSER_EVICTED, "inspect.evicted", "idle flows whose inspection state made room for others")                 \
	X(PARSER_LIMIT, "inspect.limit", "values longer or more numerous than a parser's limit")                       \
	X(PATTERN_LIMIT, "inspect.patterns_apart",                                                                     \
	  "stream segments searched for payload patterns by themselves: no memory for more streams")                   \
	X(PARSER_ERROR, "inspect.protocol_error", "flows whose parser met bytes that break the protocol")              \
	X(PARSER_RESYNC, "inspect.resync", "conversations found again behind bytes that no parser understood")         \
	X(PARSER_AMBIGUOUS, "inspect.ambiguous",                                                                       \
	  "messages that receivers read in different ways: several hosts or lengths")                                  \
	X(PARSER_GAP, "inspect.gap", "flows whose parser met lost bytes")                                              \
	X(UNRECOGNISED, "inspect.unrecognised", "flows whose protocol no parser knows")                                \
	X(DNS_OPCODE, "inspect.dns_opcode",                                                                            \
	  "DNS messages with an operation that is not known: names are matched when its questions parse")              \
	X(TRANSACTIONS, "inspect.observables", "observables compared with the rule set")                               \
	X(BOMB, "inspect.bomb", "compressed bodies that passed the ratio or size limit")                               \
	X(CONDITIONS, "inspect.conditions", "observables that are a part of a STIX pattern")                           \
	X(CONDITION_EVICTED, "inspect.conditions_evicted",                                                             \
	  "STIX patterns begun on a flow and forgotten because the table was full")                                    \
	X(FILES, "inspect.files", "files seen whole and hashed")                                                       \
	X(FILES_CUT, "inspect.files_cut", "files of which bytes were missing: not hashed")                             \
	X(QUOTED, "inspect.quoted", "packets quoted in ICMP errors, whose addresses and question were matched")        \
	X(DPI_PACKETS, "dpi.packets", "packets given to nDPI")                                                         \
	X(DPI_FLOWS, "dpi.flows", "flows that nDPI gave a verdict on")                                                 \
	X(DPI_SKIPPED, "dpi.skipped", "packets kept from nDPI: queue full, too large or a known killer")               \
	X(SHED_DPI, "shed.dpi", "packets kept from nDPI under overload")                                               \
	X(SHED_FILES, "shed.files", "files not hashed because of overload")                                            \
	X(OVERLOADS, "overload.steps", "steps up: more was set aside because the ring filled or the kernel dropped")   \
	X(DPI_CRASHED, "dpi.crashed", "nDPI process ends that were not asked for")                                     \
	X(DPI_STALLED, "dpi.stalled", "nDPI process killed because it did not answer")                                 \
	X(HEURISTIC_SIGHTS, "heuristics.sights", "events that the heuristics judged")                                  \
	X(HEURISTIC_DROPPED, "heuristics.dropped", "events lost to the heuristics: their queue was full")              \
	X(HEURISTIC_LATE, "heuristics.late", "events that came out of their order in time: judged all the same")       \
	X(HEURISTIC_EVICTED, "heuristics.evicted", "sources, pairs or names forgotten because a table was full")       \
	X(ALERTS, "alerts.raised", "alerts: one per indicator, flow and place")                                        \
	X(ALERT_REPEATS, "alerts.repeats", "further hits of the same indicator on the same flow and place")            \
	X(ALERTS_ALLOWED, "alerts.allowed", "hits that the allow list took away")                                      \
	X(ALERTS_HIDDEN, "alerts.hidden", "hits of indicators that are suppressed there, or disabled")                 \
	X(ALERTS_LOST, "alerts.lost", "alerts that could not be queued or spooled")                                    \
	X(HITS_DROPPED, "alerts.hits_dropped", "hits beyond the limit per observable")

enum ledger_id {
#define X(id, name, help) LEDGER_##id,
	LEDGER_ENDS(X) LEDGER_END_COUNT,
	LEDGER_BEFORE_EVENTS = LEDGER_END_COUNT - 1,
	LEDGER_EVENTS(X)
#undef X
	    LEDGER_COUNT
};

struct ledger {
	uint64_t v[LEDGER_COUNT];
	uint64_t unread[NDPI_NAMES]; /* see sensor/unread.h */
};

static inline void ledger_count(struct ledger *l, enum ledger_id id)
{
	l->v[id]++;
}

static inline void ledger_add(struct ledger *l, enum ledger_id id, uint64_t n)
{
	l->v[id] += n;
}

const char *ledger_name(enum ledger_id id);
const char *ledger_help(enum ledger_id id);
void ledger_sum(struct ledger *into, const struct ledger *from);
bool ledger_balanced(const struct ledger *l); /* received = sum of the ends */

/* A readable table, zero lines left out. */
void ledger_print(const struct ledger *l, FILE *to);

#endif
