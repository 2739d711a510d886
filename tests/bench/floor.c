/* F: what it costs to be handed every packet of a file by libpcap and to do
 * nothing with it. The yardstick of make bench. */
#include <pcap/pcap.h>
#include <stdio.h>

static void nothing(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	(void)h;
	(void)bytes;
	++*(unsigned long long *)(void *)user;
}

int main(int argc, char **argv)
{
	char why[PCAP_ERRBUF_SIZE];
	unsigned long long packets = 0;
	pcap_t *p = argc == 2 ? pcap_open_offline(argv[1], why) : NULL;
	if (!p) {
		fprintf(stderr, "usage: floor FILE.pcap%s%s\n", argc == 2 ? ": " : "", argc == 2 ? why : "");
		return 1;
	}
	pcap_loop(p, -1, nothing, (u_char *)&packets);
	pcap_close(p);
	printf("%llu\n", packets);
	return 0;
}
