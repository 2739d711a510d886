/* A sensor that has given its rights up cannot open a packet socket when an
 * interface comes back. Keeping CAP_NET_RAW for that would leave it to whoever
 * takes the sensor over; libpcap cannot be handed an open socket; and a restart
 * would end the captures on the other interfaces.
 *
 * So the kernel asks a process beside it (seccomp's user notification): socket() of
 * the packet family in the sensor is answered by the opener, which opens one itself
 * and puts it among the sensor's descriptors. libpcap does not notice. The opener
 * takes no other input: the family, type and protocol of a socket, as numbers.
 *
 * What it leaves to an attacker inside the sensor: packet sockets, that is to read
 * and write frames on this machine's interfaces. Not: raw IP, foreign addresses,
 * marks, and what else CAP_NET_RAW covers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/exits.h"
#include "common/log.h"
#include "common/sandbox_parts.h"

#define LISTENER 3 /* the only descriptor beside the standard ones */

/* ---- the opener ---- */

static bool wanted(const struct seccomp_data *d)
{
	int type = (int)d->args[1] & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
	return (int)d->args[0] == AF_PACKET && (type == SOCK_RAW || type == SOCK_DGRAM);
}

/* The socket's number among the sensor's descriptors, or a negative errno. */
static int open_for(int listener, const struct seccomp_notif *q)
{
	if (!wanted(&q->data))
		return -EPERM;
	int fd = socket(AF_PACKET, (int)q->data.args[1] | SOCK_CLOEXEC, (int)q->data.args[2]);
	if (fd < 0)
		return -errno;
	struct seccomp_notif_addfd add = {
	    .id = q->id,
	    .srcfd = (uint32_t)fd,
	    .newfd_flags = (int)q->data.args[1] & SOCK_CLOEXEC ? O_CLOEXEC : 0,
	};
	int there = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	int result = there >= 0 ? there : -errno;
	close(fd);
	return result;
}

static void answer(int listener)
{
	struct seccomp_notif q = {0};
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q))
		return; /* the thread that asked is gone */
	int got = open_for(listener, &q);
	struct seccomp_notif_resp r = {.id = q.id, .val = got >= 0 ? got : 0, .error = got >= 0 ? 0 : got};
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* One descriptor over a socket; -1: the other side closed it. */
static int receive(int from)
{
	char byte;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd = -1;
	if (recvmsg(from, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

__attribute__((noreturn)) static void opener_main(int from, pid_t sensor)
{
	struct sandbox s = {.profile = SANDBOX_OPENER};
	struct err e;
	prctl(PR_SET_NAME, "picket-opener");
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != sensor)
		_exit(EXIT_ENVIRONMENT);
	int listener = receive(from);
	if (listener < 0)
		_exit(EXIT_OK); /* the sensor did not get so far */
	if (dup2(listener, LISTENER) < 0 || close_range(LISTENER + 1, ~0u, 0) || !sandbox_enter(&s, &e)) {
		log_warnx("the opener cannot be confined and ends: an interface that is lost needs a restart");
		_exit(EXIT_ENVIRONMENT);
	}
	for (struct pollfd p = {.fd = LISTENER, .events = POLLIN};;) {
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			_exit(EXIT_ENVIRONMENT);
		if (p.revents & POLLIN)
			answer(LISTENER);
		else if (p.revents)
			_exit(EXIT_OK); /* nobody is left under the filter */
	}
}

/* ---- the sensor's side ---- */

bool sandbox_opener_start(struct sandbox *s, struct err *e)
{
	int pair[2];
	pid_t self = getpid();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return err_errno(e, "cannot make a socket pair for the opener");
	pid_t pid = fork();
	if (pid == 0) {
		close(pair[0]);
		opener_main(pair[1], self);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return err_errno(e, "cannot start the opener");
	}
	s->opener = pair[0];
	return true;
}

bool sandbox_opener_hand_over(struct sandbox *s, int listener, struct err *e)
{
	char byte = 0;
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.room = {0}};
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	*CMSG_FIRSTHDR(&m) = (struct cmsghdr){
	    .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &listener, sizeof(listener));
	bool ok = sendmsg(s->opener, &m, MSG_NOSIGNAL) == 1 || err_errno(e, "cannot reach the opener");
	close(listener);
	return ok;
}
