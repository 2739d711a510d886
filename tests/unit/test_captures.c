/* Every capture of ../shared/cases and ../shared/robust, when those folders are
 * there: read to the end, decoded from exact-size copies, every packet in exactly
 * one counter, and as many packets as libpcap's own reader finds. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pcap/pcap.h>

#include "sensor/capture.h"
#include "sensor/decode.h"

struct totals {
	unsigned long files, packets, ip;
};

static void decode_one(struct decoder *d, struct ledger *l, const struct raw_packet *raw)
{
	struct packet p;
	uint8_t *copy = malloc(raw->n ? raw->n : 1);
	memcpy(copy, raw->data, raw->n);
	struct raw_packet exact = *raw;
	exact.data = copy;
	ledger_count(l, LEDGER_RECEIVED);
	if (decode_packet(d, &exact, &p))
		ledger_count(l, p.end == LEDGER_END_COUNT ? LEDGER_END_FLOW : p.end);
	free(copy);
}

/* libpcap stops at damage of its own definition: only a clean end is compared. */
static void compare_with_libpcap(const char *path, uint64_t ours)
{
	char problem[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *head;
	const u_char *data;
	uint64_t n = 0;
	int r;
	pcap_t *p = pcap_open_offline(path, problem);
	if (!p)
		return;
	while ((r = pcap_next_ex(p, &head, &data)) == 1)
		n++;
	pcap_close(p);
	if (r == PCAP_ERROR_BREAK && n != ours)
		fail_msg("%s: %lu packets, libpcap %lu", path, (unsigned long)ours, (unsigned long)n);
}

static void read_one(const char *path, struct totals *t)
{
	struct err e = {.text = ""};
	struct ledger l = {0};
	struct burst b;
	struct capture *c = capture_open_file(path, NULL, &e);
	if (!c) {
		assert_true(strncmp(e.text, "cannot read \"", 13) == 0);
		return;
	}
	struct decoder *d = decoder_new(&(struct decoder_conf){.checksums = true}, &l);
	enum capture_result r;
	while ((r = capture_read(c, &b, 0, &e)) == CAPTURE_PACKETS) {
		for (size_t i = 0; i < b.n; i++)
			decode_one(d, &l, &b.packet[i]);
	}
	assert_int_equal(r, CAPTURE_EOF);
	if (!ledger_balanced(&l))
		fail_msg("%s: out of balance", path);
	if (!*e.text)
		compare_with_libpcap(path, l.v[LEDGER_RECEIVED]);
	t->files++;
	t->packets += l.v[LEDGER_RECEIVED];
	t->ip += l.v[LEDGER_END_FLOW] + l.v[LEDGER_END_FRAGMENT];
	decoder_free(d);
	capture_close(c);
}

static void walk(const char *folder, struct totals *t)
{
	struct dirent **names;
	int n = scandir(folder, &names, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char path[1024];
		snprintf(path, sizeof(path), "%s/%s/case.pcap", folder, names[i]->d_name);
		FILE *f = fopen(path, "rb");
		if (!f)
			strcat(path, "ng");
		else
			fclose(f);
		if (names[i]->d_name[0] != '.')
			read_one(path, t);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

static void test_captures(void **state)
{
	(void)state;
	struct totals t = {0};
	walk("../shared/cases", &t);
	walk("../shared/robust", &t);
	print_message("%lu captures, %lu packets, %lu of IP\n", t.files, t.packets, t.ip);
	assert_true(t.files == 0 || t.ip > t.packets / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_captures)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
