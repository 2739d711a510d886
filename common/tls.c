/* Everything that knows OpenSSL's TLS. Decisions:
 *
 * - A verdict on a peer is one sentence. OpenSSL's error numbers become what an
 *   operator can act on: whose certificate, what is wrong with it, what to do.
 * - The role is checked inside the handshake, so the other side gets an alert
 *   and can say that it was refused, instead of a connection that just ends.
 * - A reload builds a whole new context and swaps it: half a reload cannot exist.
 * - Every connection keeps its context alive (OpenSSL counts), so nothing waits.
 *
 * Weighed and left out: kernel TLS (did not engage where it was measured), OCSP
 * (a sensor's network has no responder), resumption (see the header). */
#include "common/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/text.h"
#include "common/tls_parts.h"

#define CHAIN_DEPTH_MAX   4          /* leaf and up to four CAs */
#define CHAIN_BYTES_MAX   (32 << 10) /* certificates that a stranger may send */
#define SERIAL_BYTES_MAX  20         /* RFC 5280 4.1.2.2 */
#define EXPIRY_WARNING_US (30LL * 86400 * 1000000)
#define NAME_TEXT_MAX     200 /* a peer's name in a sentence */

static const char uri_scheme[] = "picket://";

const char *const role_names[ROLE_COUNT + 1] = {
    [ROLE_SENSOR] = "sensor",
    [ROLE_COLLECTOR] = "collector",
    [ROLE_PARTNER] = "partner",
    [ROLE_OPERATOR] = "operator",
};

struct tls {
	struct tls_conf conf; /* its strings are ours */
	SSL_CTX *ctx;
	struct identity self;
};

/* What a look at the peer's certificates gave. */
struct verdict {
	const struct tls_conf *conf;
	struct identity peer;
	struct err why;
};

struct tls_conn {
	SSL *ssl;
	struct verdict verdict;
	char ca[NAME_TEXT_MAX], crl[NAME_TEXT_MAX]; /* for sentences; the context may be gone */
	struct tls_conf conf;
	bool refused; /* the verdict's sentence is the reason for the failure */
};

/* ---- names ---- */

static size_t part_length(const char *p, size_t n)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t i = 0;
	while (i < n && p[i] && strchr(allowed, p[i]))
		i++;
	return i;
}

static bool take_part(const char **p, const char *end, bool last, char out[static IDENTITY_PART_MAX + 1])
{
	size_t n = part_length(*p, (size_t)(end - *p));
	const char *stop = *p + n;
	if (!n || n > IDENTITY_PART_MAX || (last ? stop != end : stop == end || *stop != '/'))
		return false;
	memcpy(out, *p, n);
	out[n] = '\0';
	*p = stop + !last;
	return true;
}

bool identity_parse(const char *uri, size_t n, struct identity *id, struct err *e)
{
	char shown[NAME_TEXT_MAX], role[IDENTITY_PART_MAX + 1];
	const char *p = uri + sizeof(uri_scheme) - 1, *end = uri + n;
	if (n < sizeof(uri_scheme) || memcmp(uri, uri_scheme, sizeof(uri_scheme) - 1) != 0 ||
	    !take_part(&p, end, false, id->org) || !take_part(&p, end, false, role) ||
	    !take_part(&p, end, true, id->name))
		return err_set(e, "\"%s\" is not picket://<org>/<role>/<name> (letters, digits, . _ - only)",
			       text_clean(shown, sizeof(shown), uri, n));
	for (int r = 0; r < ROLE_COUNT; r++)
		if (!strcmp(role, role_names[r])) {
			id->role = (enum role)r;
			return true;
		}
	return err_set(e, "\"%s\" names the role \"%s\"; there are sensor, collector, partner and operator",
		       text_clean(shown, sizeof(shown), uri, n), role);
}

static int64_t time_us(const ASN1_TIME *t)
{
	struct tm tm;
	return ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) * 1000000 : 0;
}

/* The one picket:// URI among the names; a second one makes it nobody. */
static bool certificate_uri(const GENERAL_NAMES *names, struct identity *id, struct err *e)
{
	unsigned found = 0;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		const char *uri = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		size_t n = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
		if (n < sizeof(uri_scheme) - 1 || memcmp(uri, uri_scheme, sizeof(uri_scheme) - 1) != 0)
			continue;
		if (++found > 1)
			return err_set(e, "has two picket:// names, so it is nobody's");
		if (!identity_parse(uri, n, id, e))
			return false;
	}
	return found || err_set(e, "has no picket://<org>/<role>/<name> among its names (subjectAltName URI)");
}

static bool certificate_identity(X509 *x, struct identity *id, struct err *e)
{
	*id = (struct identity){.not_after_us = time_us(X509_get0_notAfter(x))};
	const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
	size_t n = (size_t)ASN1_STRING_length(serial);
	text_hex(id->serial, ASN1_STRING_get0_data(serial), n < SERIAL_BYTES_MAX ? n : SERIAL_BYTES_MAX);
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	if (!names)
		return err_set(e, "has no picket://<org>/<role>/<name> among its names (subjectAltName URI)");
	bool ok = certificate_uri(names, id, e);
	GENERAL_NAMES_free(names);
	return ok;
}

/* How a sentence calls a certificate: its picket name, else its subject. */
static void certificate_name(X509 *x, char out[static NAME_TEXT_MAX])
{
	struct identity id;
	if (x && certificate_identity(x, &id, NULL)) {
		snprintf(out, NAME_TEXT_MAX, "%s%s/%s/%s", uri_scheme, id.org, role_names[id.role], id.name);
		return;
	}
	char subject[NAME_TEXT_MAX] = "?";
	if (x)
		X509_NAME_oneline(X509_get_subject_name(x), subject, sizeof(subject));
	text_clean(out, NAME_TEXT_MAX, subject, strlen(subject));
}

/* ---- the verdict ---- */

static void date_text(const ASN1_TIME *t, char out[static CLOCK_TEXT_LEN])
{
	clock_format(time_us(t), out);
	out[10] = '\0'; /* the day is enough */
}

static bool refuse_unsigned(const struct tls_conf *c, const char *name, struct err *e)
{
	return err_set(e, "certificate of %s was not issued by the %s CA in %s", name, role_names[c->peer_role], c->ca);
}

/* One sentence for what OpenSSL found. */
static bool refuse_chain(const struct tls_conf *c, X509_STORE_CTX *ctx, struct err *e)
{
	char name[NAME_TEXT_MAX], day[CLOCK_TEXT_LEN];
	X509 *x = X509_STORE_CTX_get_current_cert(ctx);
	int code = X509_STORE_CTX_get_error(ctx);
	certificate_name(x, name);
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		date_text(X509_get0_notAfter(x), day);
		return err_set(e, "certificate of %s expired on %s: issue a new one", name, day);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		date_text(X509_get0_notBefore(x), day);
		return err_set(e, "certificate of %s is valid from %s only: is a clock wrong?", name, day);
	case X509_V_ERR_CERT_REVOKED:
		return err_set(e, "certificate of %s was revoked (list %s)", name, c->crl ? c->crl : "?");
	case X509_V_ERR_UNABLE_TO_GET_CRL:
		return err_set(e, "certificate of %s cannot be checked: %s has no revocation list of its CA", name,
			       c->crl ? c->crl : "?");
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_INVALID_CA:
		return refuse_unsigned(c, name, e);
	default:
		return err_set(e, "certificate of %s is not acceptable: %s", name, X509_verify_cert_error_string(code));
	}
}

static bool check_role(X509 *x, struct verdict *v)
{
	char name[NAME_TEXT_MAX];
	struct err why;
	certificate_name(x, name);
	if (!certificate_identity(x, &v->peer, &why))
		return err_set(&v->why, "certificate of %s %s", name, why.text);
	if (v->peer.role != v->conf->peer_role)
		return err_set(&v->why, "certificate of %s is for a %s, a %s is expected here", name,
			       role_names[v->peer.role], role_names[v->conf->peer_role]);
	return true;
}

/* Called by OpenSSL for each problem (ok = 0) and for each good certificate,
 * the peer's own last. */
static int judge(int ok, X509_STORE_CTX *ctx, struct verdict *v)
{
	if (!ok && X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CRL_HAS_EXPIRED) {
		static struct log_once overdue;
		unsigned long skipped;
		if (log_again(&overdue, &skipped))
			log_warnx("the revocation list %s is overdue: certificates revoked since are still accepted",
				  v->conf->crl ? v->conf->crl : "?");
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	}
	if (!ok)
		return refuse_chain(v->conf, ctx, &v->why);
	if (X509_STORE_CTX_get_error_depth(ctx) == 0 && !check_role(X509_STORE_CTX_get_current_cert(ctx), v)) {
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	return 1;
}

static int judge_handshake(int ok, X509_STORE_CTX *ctx)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_conn *c = SSL_get_app_data(ssl);
	int good = judge(ok, ctx, &c->verdict);
	c->refused = !good;
	return good;
}

static int judge_again(int ok, X509_STORE_CTX *ctx)
{
	return judge(ok, ctx, X509_STORE_CTX_get_app_data(ctx));
}

/* ---- the context ---- */

/* The first on OpenSSL's list when it is the system's ("No such file": what follows it
 * says "system lib"), else the last. */
const char *tls_reason(void)
{
	unsigned long code = ERR_SYSTEM_ERROR(ERR_peek_error()) ? ERR_peek_error() : ERR_peek_last_error();
	const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
	ERR_clear_error();
	return text ? text : "unknown reason";
}

/* Judged and read through one descriptor, so that what was judged is what is read. */
static bool load_key(SSL_CTX *ctx, const char *cert, const char *key, struct err *e)
{
	static char none[] = ""; /* the password of an encrypted key */
	FILE *f = secret_open(key, "the private key", e);
	if (!f)
		return false;
	EVP_PKEY *pkey = PEM_read_PrivateKey(f, NULL, NULL, none);
	fclose(f);
	bool ok = pkey && SSL_CTX_use_PrivateKey(ctx, pkey) == 1;
	if (!ok)
		err_set(e, "cannot load the private key %s for %s: %s", key, cert, tls_reason());
	EVP_PKEY_free(pkey);
	return ok;
}

bool tls_load_self(SSL_CTX *ctx, const char *cert, const char *key, struct err *e)
{
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		return err_set(e, "cannot load the certificate %s: %s", cert, tls_reason());
	return load_key(ctx, cert, key, e);
}

static bool load_self(SSL_CTX *ctx, const struct tls_conf *c, struct identity *self, struct err *e)
{
	struct err why;
	if (!tls_load_self(ctx, c->cert, c->key, e))
		return false;
	bool named = certificate_identity(SSL_CTX_get0_certificate(ctx), self, &why);
	if (!named && !c->web)
		return err_set(e, "the certificate %s %s", c->cert, why.text);
	if (self->role != c->own_role && !c->web)
		return err_set(e, "the certificate %s is for a %s, this is a %s", c->cert, role_names[self->role],
			       role_names[c->own_role]);
	if (self->not_after_us - clock_wall_us() < EXPIRY_WARNING_US) {
		char until[CLOCK_TEXT_LEN];
		clock_format(self->not_after_us, until);
		log_warnx("our certificate %s ends at %s: issue a new one and reload", c->cert, until);
	}
	return true;
}

static bool load_trust(SSL_CTX *ctx, const struct tls_conf *c, struct err *e)
{
	if (c->web && !c->ca)
		return true;
	if (!trusted_file(c->ca, "the CA", TRUSTED_OWNER, e) ||
	    (c->crl && !trusted_file(c->crl, "the revocation list", TRUSTED_OWNER, e)))
		return false;
	if (c->web)
		SSL_CTX_set_client_CA_list(ctx,
					   SSL_load_client_CA_file(c->ca)); /* so that clients know which to show */
	if (SSL_CTX_load_verify_file(ctx, c->ca) != 1)
		return err_set(e, "cannot load the %s CA %s: %s", role_names[c->peer_role], c->ca, tls_reason());
	if (!c->crl)
		return true;
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
	if (!lookup || X509_load_crl_file(lookup, c->crl, X509_FILETYPE_PEM) < 1)
		return err_set(e, "cannot load the revocation list %s: %s", c->crl, tls_reason());
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return true;
}

static int verify_mode(const struct tls_conf *c)
{
	if (c->web)
		return c->ca ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
	return SSL_VERIFY_PEER | (c->server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
}

static void context_settings(SSL_CTX *ctx, const struct tls_conf *c)
{
	SSL_CTX_set_min_proto_version(ctx, c->web ? TLS1_2_VERSION : TLS1_3_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF); /* a cut frame is noticed by its reader */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, CHAIN_BYTES_MAX);
	SSL_CTX_set_verify_depth(ctx, CHAIN_DEPTH_MAX);
	SSL_CTX_set_verify(ctx, verify_mode(c), judge_handshake);
}

static SSL_CTX *context_new(const struct tls_conf *c, struct identity *self, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(c->server ? TLS_server_method() : TLS_client_method());
	if (!ctx) {
		err_set(e, "OpenSSL gives no TLS context: %s", tls_reason());
		return NULL;
	}
	context_settings(ctx, c);
	if (load_self(ctx, c, self, e) && load_trust(ctx, c, e))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static void conf_strings_free(struct tls_conf *c)
{
	union {
		const char *in;
		void *out;
	} each[] = {{c->cert}, {c->key}, {c->ca}, {c->crl}};
	for (size_t i = 0; i < sizeof(each) / sizeof(*each); i++)
		free(each[i].out);
}

struct tls *tls_new(const struct tls_conf *c, struct err *e)
{
	struct identity self;
	SSL_CTX *ctx = context_new(c, &self, e);
	if (!ctx)
		return NULL;
	struct tls *t = xcalloc(1, sizeof(*t));
	*t = (struct tls){.conf = *c, .ctx = ctx, .self = self};
	t->conf.cert = xstrdup(c->cert);
	t->conf.key = xstrdup(c->key);
	t->conf.ca = c->ca ? xstrdup(c->ca) : NULL;
	t->conf.crl = c->crl ? xstrdup(c->crl) : NULL;
	return t;
}

bool tls_check(const struct tls_conf *c, struct err *e)
{
	struct tls *t = tls_new(c, e);
	tls_free(t);
	return t != NULL;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	conf_strings_free(&t->conf);
	free(t);
}

bool tls_reload(struct tls *t, struct err *e)
{
	struct identity self;
	SSL_CTX *ctx = context_new(&t->conf, &self, e);
	if (!ctx)
		return false;
	SSL_CTX_free(t->ctx);
	t->ctx = ctx;
	t->self = self;
	return true;
}

const struct identity *tls_self(const struct tls *t)
{
	return &t->self;
}

/* ---- a connection ---- */

/* The context and its strings may go before the connection does. */
static void remember_conf(struct tls_conn *c, const struct tls_conf *conf)
{
	snprintf(c->ca, sizeof(c->ca), "%s", conf->ca ? conf->ca : "");
	snprintf(c->crl, sizeof(c->crl), "%s", conf->crl ? conf->crl : "");
	c->conf = *conf;
	c->conf.cert = c->conf.key = NULL;
	c->conf.ca = c->ca;
	c->conf.crl = conf->crl ? c->crl : NULL;
	c->verdict.conf = &c->conf;
}

static struct tls_conn *conn_new(struct tls *t, SSL *ssl)
{
	struct tls_conn *c = xcalloc(1, sizeof(*c));
	c->ssl = ssl;
	remember_conf(c, &t->conf);
	SSL_set_app_data(ssl, c);
	if (t->conf.server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return c;
}

struct tls_conn *tls_open(struct tls *t, int fd, struct err *e)
{
	SSL *ssl = SSL_new(t->ctx);
	if (!ssl || SSL_set_fd(ssl, fd) != 1) {
		err_set(e, "OpenSSL gives no TLS connection: %s", tls_reason());
		SSL_free(ssl);
		return NULL;
	}
	return conn_new(t, ssl);
}

struct tls_conn *tls_open_detached(struct tls *t, struct err *e)
{
	SSL *ssl = SSL_new(t->ctx);
	if (ssl)
		return conn_new(t, ssl);
	err_set(e, "OpenSSL gives no TLS connection: %s", tls_reason());
	return NULL;
}

struct ssl_st *tls_ssl(struct tls_conn *c)
{
	SSL_up_ref(c->ssl);
	return c->ssl;
}

struct reason_text {
	int reason;
	const char *text;
};

/* What a failed handshake or a received alert means to the operator. */
static const struct reason_text reasons[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, "the peer showed no certificate"},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the peer does not offer TLS 1.3"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the peer does not offer TLS 1.3"},
    {SSL_R_WRONG_VERSION_NUMBER, "the peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, "the peer speaks plain HTTP"},
    {SSL_R_EXCESSIVE_MESSAGE_SIZE, "the peer sent more certificates than the limit allows"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the peer asks for a certificate and got none"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the peer refused our certificate: it does not know the CA that issued it"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the peer refused our certificate: it has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, "the peer refused our certificate: it was revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the peer refused our certificate"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the peer refused our certificate"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the peer refused our certificate: is it for the right role?"},
};

static void failure_sentence(void *arg, struct err *e)
{
	const struct tls_conn *c = arg;
	unsigned long code = ERR_peek_error();
	const char *text = NULL;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons) && !text; i++)
		if (!ERR_SYSTEM_ERROR(code) && ERR_GET_REASON(code) == reasons[i].reason)
			text = reasons[i].text;
	if (c->refused)
		err_set(e, "%s", c->verdict.why.text);
	else if (text)
		err_set(e, "%s", text);
	else
		err_set(e, "TLS failed: %s", tls_reason());
}

enum tls_result tls_result_of(const SSL *ssl, int rc, tls_explain *explain, void *arg, struct err *e)
{
	switch (SSL_get_error(ssl, rc)) {
	case SSL_ERROR_NONE:
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	case SSL_ERROR_SYSCALL:
		err_errno(e, "the connection broke");
		ERR_clear_error();
		return TLS_FAILED;
	default:
		explain(arg, e);
		ERR_clear_error();
		return TLS_FAILED;
	}
}

static enum tls_result result_of(struct tls_conn *c, int rc, struct err *e)
{
	return tls_result_of(c->ssl, rc, failure_sentence, c, e);
}

enum tls_result tls_handshake(struct tls_conn *c, struct err *e)
{
	ERR_clear_error();
	return result_of(c, SSL_do_handshake(c->ssl), e);
}

const struct identity *tls_peer(const struct tls_conn *c)
{
	return &c->verdict.peer;
}

enum tls_result tls_read(struct tls_conn *c, void *into, size_t cap, size_t *got, struct err *e)
{
	ERR_clear_error();
	return result_of(c, SSL_read_ex(c->ssl, into, cap, got), e);
}

enum tls_result tls_write(struct tls_conn *c, const void *from, size_t n, size_t *put, struct err *e)
{
	ERR_clear_error();
	return result_of(c, SSL_write_ex(c->ssl, from, n, put), e);
}

bool tls_recheck(struct tls_conn *c, struct tls *t, struct err *e)
{
	struct verdict v = {.conf = &t->conf};
	err_set(&v.why, "the peer's certificate cannot be checked");
	X509 *leaf = SSL_get0_peer_certificate(c->ssl);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = leaf && ctx &&
		  X509_STORE_CTX_init(ctx, SSL_CTX_get_cert_store(t->ctx), leaf, SSL_get_peer_cert_chain(c->ssl)) == 1;
	if (!ok) {
		err_set(e, "the peer's certificate cannot be checked: %s", leaf ? tls_reason() : "there is none");
	} else {
		X509_STORE_CTX_set_default(ctx, t->conf.server ? "ssl_client" : "ssl_server");
		X509_STORE_CTX_set_depth(ctx, CHAIN_DEPTH_MAX);
		X509_STORE_CTX_set_verify_cb(ctx, judge_again);
		X509_STORE_CTX_set_app_data(ctx, &v);
		ok = X509_verify_cert(ctx) == 1;
		if (!ok && e)
			*e = v.why;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

void tls_close(struct tls_conn *c)
{
	if (!c)
		return;
	ERR_clear_error();
	if (!c->refused && SSL_is_init_finished(c->ssl))
		SSL_shutdown(c->ssl); /* one try; its answer does not matter */
	ERR_clear_error();
	SSL_free(c->ssl);
	free(c);
}
