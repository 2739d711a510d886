#include "common/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/buf.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/tls_parts.h"

struct tls_client {
	SSL *ssl;
	char name[256];
};

static bool load_trust(SSL_CTX *ctx, const char *ca, struct err *e)
{
	if (!*ca && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return err_set(e, "cannot load the system's CAs: %s", tls_reason());
	if (*ca && !trusted_file(ca, "the CA", TRUSTED_OWNER, e))
		return false;
	if (*ca && SSL_CTX_load_verify_file(ctx, ca) != 1)
		return err_set(e, "cannot load the CA %s: %s", ca, tls_reason());
	return true;
}

static bool load_self(SSL_CTX *ctx, const struct tls_client_conf *c, struct err *e)
{
	return !*c->cert || tls_load_self(ctx, c->cert, c->key, e);
}

static SSL_CTX *context_new(const struct tls_client_conf *c, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	ERR_clear_error();
	if (!ctx) {
		err_set(e, "OpenSSL gives no TLS context: %s", tls_reason());
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (load_trust(ctx, c->ca, e) && load_self(ctx, c, e))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

bool tls_client_check(const struct tls_client_conf *c, struct err *e)
{
	SSL_CTX *ctx = context_new(c, e);
	SSL_CTX_free(ctx);
	return ctx != NULL;
}

/* A certificate names hosts and addresses in different places; only host names go
 * into SNI (RFC 6066, 3). */
static bool expect_name(SSL *ssl, const char *name)
{
	struct addr a;
	if (addr_parse(name, strlen(name), &a))
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

struct tls_client *tls_client_open(const struct tls_client_conf *c, int fd, struct err *e)
{
	SSL_CTX *ctx = context_new(c, e);
	if (!ctx)
		return NULL;
	SSL *ssl = SSL_new(ctx);
	SSL_CTX_free(ctx); /* ssl keeps it */
	if (!ssl || SSL_set_fd(ssl, fd) != 1 || !expect_name(ssl, c->name)) {
		err_set(e, "OpenSSL gives no TLS connection for \"%s\": %s", c->name, tls_reason());
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	struct tls_client *t = xcalloc(1, sizeof(*t));
	t->ssl = ssl;
	text_clean(t->name, sizeof(t->name), c->name, strlen(c->name));
	return t;
}

static void failure_sentence(void *arg, struct err *e)
{
	const struct tls_client *t = arg;
	long verdict = SSL_get_verify_result(t->ssl);
	unsigned long code = ERR_peek_error();
	if (verdict == X509_V_ERR_HOSTNAME_MISMATCH || verdict == X509_V_ERR_IP_ADDRESS_MISMATCH)
		err_set(e, "its certificate is not for %s", t->name);
	else if (verdict != X509_V_OK)
		err_set(e, "its certificate is not acceptable: %s", X509_verify_cert_error_string(verdict));
	else if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
		err_set(e, "it does not speak TLS there");
	else if (ERR_GET_REASON(code) == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED)
		err_set(e, "it asks for a certificate of ours");
	else
		err_set(e, "TLS failed: %s", tls_reason());
}

static enum tls_result result_of(struct tls_client *t, int rc, struct err *e)
{
	return tls_result_of(t->ssl, rc, failure_sentence, t, e);
}

enum tls_result tls_client_handshake(struct tls_client *t, struct err *e)
{
	ERR_clear_error();
	return result_of(t, SSL_do_handshake(t->ssl), e);
}

enum tls_result tls_client_read(struct tls_client *t, void *into, size_t cap, size_t *got, struct err *e)
{
	ERR_clear_error();
	return result_of(t, SSL_read_ex(t->ssl, into, cap, got), e);
}

enum tls_result tls_client_write(struct tls_client *t, const void *from, size_t n, size_t *put, struct err *e)
{
	ERR_clear_error();
	return result_of(t, SSL_write_ex(t->ssl, from, n, put), e);
}

void tls_client_close(struct tls_client *t)
{
	if (!t)
		return;
	ERR_clear_error();
	if (SSL_is_init_finished(t->ssl))
		SSL_shutdown(t->ssl); /* one try; its answer does not matter */
	ERR_clear_error();
	SSL_free(t->ssl);
	free(t);
}
