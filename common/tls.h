/* The door to OpenSSL's TLS, for sensor, collector and partners: TLS 1.3 only,
 * both sides show a certificate, non-blocking over a socket that the caller
 * owns and polls.
 *
 * Who somebody is stands in his certificate, in the one URI among its subject
 * alternative names that begins with picket:// :
 *
 *     picket://<org>/<role>/<name>      picket://jp-cert-x/sensor/tok-03
 *
 * Each part is 1 to 64 of A-Z a-z 0-9 . _ - and the role is sensor, collector,
 * partner or operator. A context trusts one CA and takes peers of one role: a
 * partner's CA is never asked about a sensor. Nothing but the chain, the
 * revocation list and this name decides; host names and common names do not.
 *
 * Sessions are never resumed: a resumed session would skip the question
 * whether the certificate was revoked meanwhile. A revocation list that is
 * overdue still counts, with a warning: to stop all sensors because a list came
 * late would hurt more. Writing to a closed socket raises SIGPIPE: the process
 * ignores it or the thread blocks it. */
#ifndef COMMON_TLS_H
#define COMMON_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum role { ROLE_SENSOR = 0, ROLE_COLLECTOR, ROLE_PARTNER, ROLE_OPERATOR, ROLE_COUNT };
extern const char *const role_names[ROLE_COUNT + 1]; /* NULL-terminated */

#define IDENTITY_PART_MAX 64

struct identity {
	enum role role;
	char org[IDENTITY_PART_MAX + 1], name[IDENTITY_PART_MAX + 1];
	char serial[41];      /* the certificate's, lower-case hex (at most 20 bytes, RFC 5280 4.1.2.2) */
	int64_t not_after_us; /* the certificate's end */
};

/* Reads "picket://org/role/name" of n bytes into org, role and name. */
bool identity_parse(const char *uri, size_t n, struct identity *id, struct err *e);

struct tls;      /* a context: who we are and whom we take */
struct tls_conn; /* one connection */

struct tls_conf {
	bool server;
	const char *cert, *key; /* PEM: our certificate (then its intermediates) and its private key */
	const char *ca;         /* PEM: the CA of the peers' role */
	const char *crl;        /* PEM: its revocation lists; NULL = none is kept */
	enum role own_role;     /* what our certificate must say */
	enum role peer_role;    /* what the peer's must say */
	/* A server for clients that are not ours (HTTPS): TLS 1.2 too; our certificate
	 * needs no picket name, so that one of a public CA will do; a client may show
	 * none (then tls_peer() has an empty org); without ca none is asked for. */
	bool web;
};

/* Whether tls_new() would succeed. */
bool tls_check(const struct tls_conf *c, struct err *e);

/* Reads and checks all files. NULL: e says which file and why. Strings are copied. */
struct tls *tls_new(const struct tls_conf *c, struct err *e);
void tls_free(struct tls *t); /* connections may outlive it */
/* Reads all files again, for connections opened from now on. False: nothing
 * has changed, e says why. Call tls_recheck() on the live ones afterwards. */
bool tls_reload(struct tls *t, struct err *e);
const struct identity *tls_self(const struct tls *t);

/* For a library that drives the socket by itself: a server's connection without
 * one, and its SSL with a reference for the one who asks. tls_close() after that
 * library is done with it. */
struct ssl_st;
struct tls_conn *tls_open_detached(struct tls *t, struct err *e);
struct ssl_st *tls_ssl(struct tls_conn *c);

enum tls_result {
	TLS_DONE = 0,
	TLS_WANT_READ,  /* call again when the socket is readable */
	TLS_WANT_WRITE, /* … writable */
	TLS_CLOSED,     /* the peer has closed */
	TLS_FAILED      /* e says why; close */
};

/* fd is a connected non-blocking socket; it stays the caller's. t must live
 * until the handshake is done. */
struct tls_conn *tls_open(struct tls *t, int fd, struct err *e);
/* To be called until it gives TLS_DONE: then the peer is who tls_peer() says.
 * A client learns only with its first read whether the server took it. */
enum tls_result tls_handshake(struct tls_conn *c, struct err *e);
const struct identity *tls_peer(const struct tls_conn *c); /* after the handshake; lives as long as c */
/* TLS_DONE: *got of at most cap bytes (> 0). Read until it wants: OpenSSL may
 * hold decrypted bytes that poll() does not see. */
enum tls_result tls_read(struct tls_conn *c, void *into, size_t cap, size_t *got, struct err *e);
/* TLS_DONE: *put of n bytes went out (> 0). After TLS_WANT_… the next call must
 * begin with the same bytes (their place may differ, there may be more). */
enum tls_result tls_write(struct tls_conn *c, const void *from, size_t n, size_t *put, struct err *e);
/* Asks again, with what t trusts now, whether the peer's certificate is good. */
bool tls_recheck(struct tls_conn *c, struct tls *t, struct err *e);
/* Says goodbye if the socket takes it at once. c may be NULL. */
void tls_close(struct tls_conn *c);

#endif
