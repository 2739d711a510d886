/* TLS to servers that are not Picket's (Redis): TLS 1.2 or 1.3, the server's
 * certificate must be signed by a CA that is trusted and be for the right name;
 * our own certificate is shown when there is one. Non-blocking, over a socket that
 * the caller owns and polls. common/tls.h is for Picket's own conversations, where
 * roles decide in place of host names. */
#ifndef COMMON_TLS_CLIENT_H
#define COMMON_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"
#include "common/tls.h"

struct tls_client_conf {
	const char *ca;         /* PEM: the CAs that are trusted; "" = those of the system */
	const char *cert, *key; /* PEM: ours; "" = none is shown */
	const char *name;       /* what the server's certificate must be for: a host name or an address */
};

/* Reads the files. False: e says which one and why. */
bool tls_client_check(const struct tls_client_conf *c, struct err *e);

/* The files are read for each connection, so renewed ones need no reload. */
struct tls_client;
struct tls_client *tls_client_open(const struct tls_client_conf *c, int fd, struct err *e);

/* As their counterparts in common/tls.h. */
enum tls_result tls_client_handshake(struct tls_client *t, struct err *e);
enum tls_result tls_client_read(struct tls_client *t, void *into, size_t cap, size_t *got, struct err *e);
enum tls_result tls_client_write(struct tls_client *t, const void *from, size_t n, size_t *put, struct err *e);
void tls_client_close(struct tls_client *t); /* t may be NULL */

#endif
