/* What a packet costs in the flow table as it grows: ns per lookup for 10 k, 1 M
 * and 10 M concurrent flows, in bursts of 32 (keys, then records, then get) and
 * one at a time. Run on an idle machine; ratios count, not the ns. */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sensor/flow.h"

#define PACKETS 4000000u

static void ignore_end(void *owner, struct flow *f)
{
	(void)owner;
	(void)f;
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void fill(struct layer *l, uint32_t k)
{
	uint32_t a = htonl(0x0a000000 + k), b = htonl(0xc0a80001);
	l->src = addr_v4(&a);
	l->dest = addr_v4(&b);
	l->src_port = (uint16_t)(1024 + k % 50000);
	l->dest_port = 443;
	l->proto = IPPROTO_TCP;
	l->tcp_flags = TCP_ACK;
}

static void walk(struct flow_table *t, const struct layer *l, size_t n, int64_t ts_us)
{
	struct flow_seek seek[BURST_MAX];
	bool is_new;
	enum side side;
	for (size_t i = 0; i < n; i++)
		flow_seek(t, &l[i], &seek[i]);
	for (size_t i = 0; i < n; i++)
		if (!flow_prefetch(t, &seek[i]))
			flow_prefetch_other(t, &seek[i]);
	for (size_t i = 0; i < n; i++)
		flow_get(t, &l[i], &seek[i], ts_us, &is_new, &side);
	flow_expire(t, ts_us);
}

static double measure(struct flow_table *t, uint32_t flows, size_t burst)
{
	static struct layer l[BURST_MAX];
	uint64_t seed = 88172645463325252ULL;
	double spent = 0, fills = 0;
	for (int with = 0; with < 2; with++) { /* the cost of making packets is taken out */
		double start = cpu_ns();
		for (uint32_t done = 0; done < PACKETS; done += (uint32_t)burst) {
			for (size_t i = 0; i < burst; i++)
				fill(&l[i], (uint32_t)(next_random(&seed) % flows));
			if (with)
				walk(t, l, burst, 1700000000000000LL + done);
		}
		*(with ? &spent : &fills) = cpu_ns() - start;
	}
	return (spent - fills) / PACKETS;
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {10000, 100000, 1000000, 10000000};
	size_t n = argc > 1 ? (size_t)atoi(argv[1]) : 4; /* how many of the sizes */
	printf("%10s %14s %14s %12s\n", "flows", "burst 32 ns", "burst 1 ns", "bytes/flow");
	for (size_t s = 0; s < n && s < 4; s++) {
		struct hash_key key;
		struct ledger ledger = {0};
		hash_key_random(&key);
		struct flow_table *t = flow_table_new(sizes[s], VLAN_AUTO, &key, &ledger, ignore_end, NULL);
		struct layer l = {0};
		for (uint32_t k = 0; k < sizes[s]; k++) {
			fill(&l, k);
			walk(t, &l, 1, 1700000000000000LL);
		}
		double many = measure(t, sizes[s], 32), one = measure(t, sizes[s], 1);
		printf("%10u %14.1f %14.1f %12.1f   (%zu live, %lu evicted early)\n", sizes[s], many, one,
		       (double)flow_table_bytes(t) / sizes[s], flow_count(t),
		       (unsigned long)ledger.v[LEDGER_FLOW_EVICTED]);
		flow_table_free(t);
	}
	return 0;
}
