/* The heuristics' names: what sensors raise by themselves and what rule files may
 * name (`heuristic: [port-scan]`). A rule file that names one turns it on and says
 * how severe it is; thresholds are the sensor's (sensor/sensor_conf.c). */
#ifndef RULES_HEURISTIC_H
#define RULES_HEURISTIC_H

#define HEURISTICS(X)                                                                                                  \
	X(PORT_SCAN, "port-scan", "one source tries many ports of one address in vain")                                \
	X(ADDRESS_SCAN, "address-scan", "one source tries one port of many addresses in vain")                         \
	X(BEACON, "beacon", "connections that leave at even intervals, all of the same size")                          \
	X(DNS_TUNNEL, "dns-tunnel", "many long, random-looking names below one domain")                                \
	X(NXDOMAIN_FLOOD, "nxdomain-flood", "most of the domains that a source asks for do not exist")

enum heuristic {
#define X(id, name, help) HEURISTIC_##id,
	HEURISTICS(X)
#undef X
	    HEURISTIC_COUNT
};

extern const char *const heuristic_names[HEURISTIC_COUNT + 1]; /* NULL-terminated; rules/canon.c */
extern const char *const heuristic_helps[HEURISTIC_COUNT];

#endif
