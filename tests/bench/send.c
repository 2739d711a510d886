/* Sends a capture onto an interface, as fast as it goes or at a rate:
 *
 *   send INTERFACE FILE.pcap PACKETS_PER_SECOND SECONDS
 *
 * A rate of 0 is the sender's maximum; 0 seconds is once through the file, which
 * otherwise begins anew at its end. Classic pcap, Ethernet. Prints sent=N, pps=N.
 * AF_PACKET, sendmmsg() in batches, past the queueing discipline. */
#define _GNU_SOURCE /* sendmmsg */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, FILE_HEAD = 24, RECORD_HEAD = 16, FRAME_MIN = 14, FRAME_MAX = 65549 };

struct frames {
	const uint8_t *map;
	size_t n, bytes;
	struct iovec *at;
};

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static struct frames load(const char *path)
{
	struct frames f = {0};
	struct stat st;
	uint32_t magic = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) || st.st_size < FILE_HEAD)
		die(path);
	f.bytes = (size_t)st.st_size;
	void *map = mmap(NULL, f.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		die(path);
	close(fd);
	f.map = map;
	memcpy(&magic, map, sizeof(magic));
	if (magic != 0xa1b2c3d4 && magic != 0xa1b23c4d) {
		fprintf(stderr, "send: %s: not a classic capture in this machine's byte order\n", path);
		exit(1);
	}
	size_t room = 0;
	for (size_t at = FILE_HEAD; at + RECORD_HEAD <= f.bytes;) {
		uint32_t n;
		memcpy(&n, f.map + at + 8, sizeof(n));
		at += RECORD_HEAD;
		if (n > f.bytes - at)
			break;
		if (f.n == room) {
			room = room ? 2 * room : 4096;
			f.at = realloc(f.at, room * sizeof(*f.at));
		}
		if (n >= FRAME_MIN && n <= FRAME_MAX)
			f.at[f.n++] = (struct iovec){.iov_base = (uint8_t *)map + at, .iov_len = n};
		at += n;
	}
	if (!f.n) {
		fprintf(stderr, "send: %s holds no packets\n", path);
		exit(1);
	}
	return f;
}

static int open_interface(const char *name)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1, room = 8 << 20;
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name)};
	if (fd < 0 || !to.sll_ifindex || bind(fd, (struct sockaddr *)&to, sizeof(to)))
		die(name);
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	return fd;
}

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* All of the batch, however often the kernel has no room. */
static void send_all(int fd, struct mmsghdr *m, unsigned n)
{
	while (n) {
		int k = sendmmsg(fd, m, n, 0);
		if (k < 0 && errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
			die("sendmmsg");
		if (k > 0) {
			m += k;
			n -= (unsigned)k;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fputs("usage: send INTERFACE FILE.pcap PACKETS_PER_SECOND SECONDS\n", stderr);
		return 2;
	}
	struct frames f = load(argv[2]);
	int fd = open_interface(argv[1]);
	double rate = atof(argv[3]), seconds = atof(argv[4]), began = now_s(), took;
	struct mmsghdr m[BATCH];
	unsigned long long sent = 0;
	size_t at = 0;
	do {
		unsigned n = 0;
		memset(m, 0, sizeof(m));
		while (n < BATCH && at < f.n) {
			m[n].msg_hdr.msg_iov = &f.at[at++];
			m[n++].msg_hdr.msg_iovlen = 1;
		}
		send_all(fd, m, n);
		sent += n;
		if (at == f.n && seconds > 0)
			at = 0;
		for (double ahead; rate > 0 && (ahead = (double)sent / rate - (now_s() - began)) > 0;)
			if (ahead > 0.0003)
				nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
		took = now_s() - began;
	} while (at < f.n && (seconds <= 0 || took < seconds));
	printf("sent=%llu\npps=%.0f\n", sent, (double)sent / took);
	free(f.at);
	close(fd);
	return 0;
}
