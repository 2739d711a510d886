/* What tls.c and tls_client.c share of OpenSSL. */
#ifndef COMMON_TLS_PARTS_H
#define COMMON_TLS_PARTS_H

#include <openssl/ssl.h>

#include "common/err.h"
#include "common/tls.h"

/* Why OpenSSL failed, in words; forgets it. */
const char *tls_reason(void);

/* Our certificate (then its intermediates) and its private key, PEM, into a context. A
 * key that others may read or write is refused (common/secret.h), an encrypted one is
 * not asked about on a terminal. */
bool tls_load_self(SSL_CTX *ctx, const char *cert, const char *key, struct err *e);

/* Says in e why the connection of arg failed; OpenSSL's errors still stand. */
typedef void tls_explain(void *arg, struct err *e);

/* What an SSL_ call that returned rc asks for. TLS_FAILED: e is filled, by explain where it was TLS that failed. */
enum tls_result tls_result_of(const SSL *ssl, int rc, tls_explain *explain, void *arg, struct err *e);

#endif
