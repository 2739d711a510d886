/* Handshakes over a socket pair with certificates made here: who is let in, who
 * is not, and whether both sides can say why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/tls.h"

#define DAY 86400L

struct party {
	X509 *cert;
	EVP_PKEY *key;
	char cert_path[128], key_path[128];
};

struct world {
	char dir[64];
	struct party sensor_ca, collector_ca, other_ca;
	struct party sensor, collector, expired, early, foreign, wrong_role, nameless, two_names, impostor;
	char crl_path[128], no_crl_path[128];
};

static void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	assert_non_null(ext);
	X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
}

static void save(struct world *w, struct party *p, const char *name)
{
	snprintf(p->cert_path, sizeof(p->cert_path), "%s/%s.crt", w->dir, name);
	snprintf(p->key_path, sizeof(p->key_path), "%s/%s.key", w->dir, name);
	FILE *f = fopen(p->cert_path, "w");
	PEM_write_X509(f, p->cert);
	fclose(f);
	f = fopen(p->key_path, "w");
	fchmod(fileno(f), 0640);
	PEM_write_PrivateKey(f, p->key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
}

/* ca NULL: a CA of its own. san NULL: none. */
static void make(struct world *w, struct party *p, const char *name, const struct party *ca, const char *san,
		 long from_s, long until_s)
{
	static long serial = 1000;
	p->key = EVP_EC_gen("P-256");
	p->cert = X509_new();
	X509_set_version(p->cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(p->cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(p->cert), from_s);
	X509_gmtime_adj(X509_getm_notAfter(p->cert), until_s);
	X509_set_pubkey(p->cert, p->key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(p->cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
				   -1, 0);
	X509_set_issuer_name(p->cert, X509_get_subject_name(ca ? ca->cert : p->cert));
	add_ext(p->cert, ca ? ca->cert : p->cert, NID_basic_constraints, ca ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (!ca)
		add_ext(p->cert, p->cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	if (san)
		add_ext(p->cert, ca->cert, NID_subject_alt_name, san);
	X509_sign(p->cert, ca ? ca->key : p->key, EVP_sha256());
	save(w, p, name);
}

static void make_crl(const struct party *ca, const struct party *revoked, long next_s, const char *path)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *t = ASN1_TIME_new();
	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->cert));
	X509_CRL_set1_lastUpdate(crl, X509_gmtime_adj(t, -2 * DAY));
	X509_CRL_set1_nextUpdate(crl, X509_gmtime_adj(t, next_s));
	if (revoked) {
		X509_REVOKED *r = X509_REVOKED_new();
		X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked->cert));
		X509_REVOKED_set_revocationDate(r, X509_gmtime_adj(t, -DAY));
		X509_CRL_add0_revoked(crl, r);
	}
	X509_CRL_sign(crl, ca->key, EVP_sha256());
	FILE *f = fopen(path, "w");
	PEM_write_X509_CRL(f, crl);
	fclose(f);
	ASN1_TIME_free(t);
	X509_CRL_free(crl);
}

static struct tls_conf server_conf(const struct world *w)
{
	return (struct tls_conf){.server = true,
				 .cert = w->collector.cert_path,
				 .key = w->collector.key_path,
				 .ca = w->sensor_ca.cert_path,
				 .own_role = ROLE_COLLECTOR,
				 .peer_role = ROLE_SENSOR};
}

static struct tls_conf client_conf(const struct world *w, const struct party *p)
{
	return (struct tls_conf){.cert = p->cert_path,
				 .key = p->key_path,
				 .ca = w->collector_ca.cert_path,
				 .own_role = ROLE_SENSOR,
				 .peer_role = ROLE_COLLECTOR};
}

/* Two ends of one connection and what became of them. */
struct pair {
	int fd[2];
	struct tls_conn *client, *server;
	enum tls_result client_result, server_result;
	struct err client_says, server_says;
};

static void pair_open(struct pair *p, struct tls *client, struct tls *server)
{
	*p = (struct pair){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fd), 0);
	p->client = tls_open(client, p->fd[0], NULL);
	p->server = tls_open(server, p->fd[1], NULL);
	assert_non_null(p->client);
	assert_non_null(p->server);
	p->client_result = p->server_result = TLS_WANT_READ;
}

static bool waits(enum tls_result r)
{
	return r == TLS_WANT_READ || r == TLS_WANT_WRITE;
}

static void pair_shake(struct pair *p)
{
	for (int turn = 0; turn < 20 && (waits(p->client_result) || waits(p->server_result)); turn++) {
		if (waits(p->client_result))
			p->client_result = tls_handshake(p->client, &p->client_says);
		if (waits(p->server_result))
			p->server_result = tls_handshake(p->server, &p->server_says);
	}
	char c;
	size_t got;
	if (p->client_result == TLS_DONE && p->server_result == TLS_FAILED)
		p->client_result = tls_read(p->client, &c, 1, &got, &p->client_says);
}

static void pair_close(struct pair *p)
{
	tls_close(p->client);
	tls_close(p->server);
	close(p->fd[0]);
	close(p->fd[1]);
}

static void test_good_peers_talk(void **state)
{
	struct world *w = *state;
	struct tls_conf sc = server_conf(w), cc = client_conf(w, &w->sensor);
	struct err e = {""};
	struct tls *server = tls_new(&sc, &e), *client = tls_new(&cc, &e);
	if (!server || !client)
		fail_msg("%s", e.text);
	struct pair p;
	pair_open(&p, client, server);
	pair_shake(&p);
	assert_int_equal(p.client_result, TLS_DONE);
	assert_int_equal(p.server_result, TLS_DONE);
	assert_string_equal(tls_peer(p.server)->name, "tok-03");
	assert_string_equal(tls_peer(p.server)->org, "jp-cert-x");
	assert_int_equal(tls_peer(p.server)->role, ROLE_SENSOR);
	assert_int_equal(tls_peer(p.client)->role, ROLE_COLLECTOR);
	assert_string_equal(tls_self(client)->name, "tok-03");
	size_t put = 0, got = 0;
	char in[32];
	assert_int_equal(tls_write(p.client, "alert", 5, &put, &e), TLS_DONE);
	assert_int_equal(put, 5);
	assert_int_equal(tls_read(p.server, in, sizeof(in), &got, &e), TLS_DONE);
	assert_int_equal(got, 5);
	assert_int_equal(tls_read(p.server, in, sizeof(in), &got, &e), TLS_WANT_READ);
	tls_close(p.client);
	p.client = NULL;
	assert_int_equal(tls_read(p.server, in, sizeof(in), &got, &e), TLS_CLOSED);
	pair_close(&p);
	tls_free(client);
	tls_free(server);
}

static void test_who_is_refused_and_why(void **state)
{
	struct world *w = *state;
	const struct {
		const char *label;
		const struct party *who;
		enum role claimed;
		const char *crl, *server_says, *client_says;
	} cases[] = {
	    {"expired", &w->expired, ROLE_SENSOR, NULL, "sensor/old expired on 20", "expired"},
	    {"not yet valid", &w->early, ROLE_SENSOR, NULL, "is a clock wrong?", "refused our certificate"},
	    {"another CA", &w->foreign, ROLE_SENSOR, NULL, "was not issued by the sensor CA in",
	     "does not know the CA"},
	    {"a collector's certificate", &w->collector, ROLE_COLLECTOR, NULL, "was not issued by the sensor CA",
	     "does not know the CA"},
	    {"wrong role", &w->wrong_role, ROLE_PARTNER, NULL, "is for a partner, a sensor is expected", "refused our"},
	    {"revoked", &w->sensor, ROLE_SENSOR, w->crl_path, "sensor/tok-03 was revoked", "revoked"},
	    {"no list of its CA", &w->sensor, ROLE_SENSOR, w->no_crl_path, "no revocation list of its CA", "refused"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tls_conf sc = server_conf(w), cc = client_conf(w, cases[i].who);
		sc.crl = cases[i].crl;
		cc.own_role = cases[i].claimed;
		struct err e = {""};
		struct tls *server = tls_new(&sc, &e), *client = tls_new(&cc, &e);
		if (!server || !client)
			fail_msg("%s: %s", cases[i].label, e.text);
		struct pair p;
		pair_open(&p, client, server);
		pair_shake(&p);
		if (p.server_result != TLS_FAILED || p.client_result != TLS_FAILED ||
		    !strstr(p.server_says.text, cases[i].server_says) ||
		    !strstr(p.client_says.text, cases[i].client_says))
			fail_msg("%s: server %d \"%s\", client %d \"%s\"", cases[i].label, p.server_result,
				 p.server_says.text, p.client_result, p.client_says.text);
		pair_close(&p);
		tls_free(client);
		tls_free(server);
	}
}

static void test_own_files_are_checked(void **state)
{
	struct world *w = *state;
	const struct {
		const char *label, *cert, *key, *ca, *crl, *says;
	} cases[] = {
	    {"no such file", "/nonexistent.crt", w->sensor.key_path, w->collector_ca.cert_path, NULL,
	     "cannot load the certificate /nonexistent.crt"},
	    {"another's key", w->sensor.cert_path, w->expired.key_path, w->collector_ca.cert_path, NULL, "key"},
	    {"no name", w->nameless.cert_path, w->nameless.key_path, w->collector_ca.cert_path, NULL,
	     "has no picket://<org>/<role>/<name>"},
	    {"two names", w->two_names.cert_path, w->two_names.key_path, w->collector_ca.cert_path, NULL, "nobody's"},
	    {"a newline in the name", w->impostor.cert_path, w->impostor.key_path, w->collector_ca.cert_path, NULL,
	     "letters, digits"},
	    {"not our role", w->collector.cert_path, w->collector.key_path, w->collector_ca.cert_path, NULL,
	     "is for a collector, this is a sensor"},
	    {"no CA", w->sensor.cert_path, w->sensor.key_path, "/nonexistent.crt", NULL,
	     "collector CA /nonexistent.crt"},
	    {"no list", w->sensor.cert_path, w->sensor.key_path, w->collector_ca.cert_path, "/nonexistent.crl",
	     "revocation list /nonexistent.crl"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tls_conf c = {.cert = cases[i].cert,
				     .key = cases[i].key,
				     .ca = cases[i].ca,
				     .crl = cases[i].crl,
				     .own_role = ROLE_SENSOR,
				     .peer_role = ROLE_COLLECTOR};
		struct err e = {""};
		struct tls *t = tls_new(&c, &e);
		if (t || !strstr(e.text, cases[i].says))
			fail_msg("%s: \"%s\"", cases[i].label, e.text);
	}
}

/* A client that shows nothing, and one that offers TLS 1.2 only. */
static void test_strangers(void **state)
{
	struct world *w = *state;
	struct tls_conf sc = server_conf(w);
	struct tls *server = tls_new(&sc, NULL);
	const struct {
		const char *label;
		int max_version;
		const char *says;
	} cases[] = {
	    {"no certificate", TLS1_3_VERSION, "showed no certificate"},
	    {"TLS 1.2", TLS1_2_VERSION, "does not offer TLS 1.3"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int fd[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		struct tls_conn *c = tls_open(server, fd[1], NULL);
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
		SSL_CTX_set_max_proto_version(ctx, cases[i].max_version);
		SSL *ssl = SSL_new(ctx);
		SSL_set_fd(ssl, fd[0]);
		struct err e = {""};
		enum tls_result r = TLS_WANT_READ;
		for (int turn = 0; turn < 20 && waits(r); turn++) {
			SSL_connect(ssl);
			r = tls_handshake(c, &e);
		}
		if (r != TLS_FAILED || !strstr(e.text, cases[i].says))
			fail_msg("%s: %d \"%s\"", cases[i].label, r, e.text);
		SSL_free(ssl);
		SSL_CTX_free(ctx);
		tls_close(c);
		close(fd[0]);
		close(fd[1]);
	}
	tls_free(server);
}

static void test_rubbish_instead_of_a_handshake(void **state)
{
	struct world *w = *state;
	struct tls_conf sc = server_conf(w);
	struct tls *server = tls_new(&sc, NULL);
	srand(7);
	for (int run = 0; run < 200; run++) {
		int fd[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		struct tls_conn *c = tls_open(server, fd[1], NULL);
		uint8_t junk[300];
		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (uint8_t)rand();
		size_t n = (size_t)(rand() % (int)sizeof(junk));
		assert_int_equal(write(fd[0], junk, n), n);
		shutdown(fd[0], SHUT_WR);
		enum tls_result r = TLS_WANT_READ;
		for (int turn = 0; turn < 10 && waits(r); turn++)
			r = tls_handshake(c, NULL);
		assert_true(r == TLS_FAILED || r == TLS_CLOSED);
		tls_close(c);
		close(fd[0]);
		close(fd[1]);
	}
	tls_free(server);
}

static void test_reload_revokes_live_connections(void **state)
{
	struct world *w = *state;
	char crl[160];
	snprintf(crl, sizeof(crl), "%s/live.crl", w->dir);
	make_crl(&w->sensor_ca, NULL, 30 * DAY, crl);
	struct tls_conf sc = server_conf(w), cc = client_conf(w, &w->sensor);
	sc.crl = crl;
	struct tls *server = tls_new(&sc, NULL), *client = tls_new(&cc, NULL);
	struct pair p;
	struct err e = {""};
	pair_open(&p, client, server);
	pair_shake(&p);
	assert_int_equal(p.server_result, TLS_DONE);
	assert_true(tls_recheck(p.server, server, &e));
	make_crl(&w->sensor_ca, &w->sensor, 30 * DAY, crl);
	assert_true(tls_reload(server, &e));
	assert_false(tls_recheck(p.server, server, &e));
	assert_non_null(strstr(e.text, "was revoked"));
	unlink(crl);
	assert_false(tls_reload(server, &e)); /* and the old one stays in force */
	assert_false(tls_recheck(p.server, server, &e));
	pair_close(&p);
	tls_free(client);
	tls_free(server);
}

static void test_overdue_list_still_counts(void **state)
{
	struct world *w = *state;
	char crl[160];
	snprintf(crl, sizeof(crl), "%s/overdue.crl", w->dir);
	for (int revoke = 0; revoke < 2; revoke++) {
		make_crl(&w->sensor_ca, revoke ? &w->sensor : NULL, -DAY, crl);
		struct tls_conf sc = server_conf(w), cc = client_conf(w, &w->sensor);
		sc.crl = crl;
		struct tls *server = tls_new(&sc, NULL), *client = tls_new(&cc, NULL);
		struct pair p;
		pair_open(&p, client, server);
		pair_shake(&p);
		assert_int_equal(p.server_result, revoke ? TLS_FAILED : TLS_DONE);
		pair_close(&p);
		tls_free(client);
		tls_free(server);
	}
}

/* A megabyte through a socket that takes little at a time, both directions cut anywhere. */
static void test_slow_socket(void **state)
{
	struct world *w = *state;
	struct tls_conf sc = server_conf(w), cc = client_conf(w, &w->sensor);
	struct tls *server = tls_new(&sc, NULL), *client = tls_new(&cc, NULL);
	struct pair p;
	pair_open(&p, client, server);
	pair_shake(&p);
	size_t total = 1 << 20, sent = 0, seen = 0;
	uint8_t *data = malloc(total), *back = malloc(total);
	for (size_t i = 0; i < total; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	while (seen < total) {
		size_t n = 0;
		if (sent < total && tls_write(p.client, data + sent, total - sent, &n, NULL) == TLS_DONE)
			sent += n;
		n = 0;
		if (tls_read(p.server, back + seen, total - seen > 777 ? 777 : total - seen, &n, NULL) == TLS_DONE)
			seen += n;
	}
	assert_memory_equal(data, back, total);
	free(data);
	free(back);
	pair_close(&p);
	tls_free(client);
	tls_free(server);
}

static void test_identity_text(void **state)
{
	(void)state;
	static const struct {
		const char *uri;
		bool good;
	} cases[] = {
	    {"picket://a/sensor/b", true},
	    {"picket://jp-cert.x/operator/A_9", true},
	    {"picket://a/sensor/", false},
	    {"picket:///sensor/b", false},
	    {"picket://a/sensor", false},
	    {"picket://a/sensor/b/c", false},
	    {"picket://a/Sensor/b", false},
	    {"picket://a/king/b", false},
	    {"picket://a/sensor/b c", false},
	    {"picket://a/sensor/b%00", false},
	    {"PICKET://a/sensor/b", false},
	    {"picket://", false},
	    {"", false},
	    {"picket://a/sensor/"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	     true},
	    {"picket://a/sensor/"
	     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
	     false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct identity id;
		if (identity_parse(cases[i].uri, strlen(cases[i].uri), &id, NULL) != cases[i].good)
			fail_msg("%s", cases[i].uri);
	}
	struct identity id;
	assert_false(identity_parse("picket://a/sensor/b\0c", 21, &id, NULL));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/picket-tls-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	long soon = 100 * DAY;
	make(w, &w->sensor_ca, "sensor-ca", NULL, NULL, -DAY, soon);
	make(w, &w->collector_ca, "collector-ca", NULL, NULL, -DAY, soon);
	make(w, &w->other_ca, "other-ca", NULL, NULL, -DAY, soon);
	make(w, &w->sensor, "sensor", &w->sensor_ca, "URI:picket://jp-cert-x/sensor/tok-03", -DAY, soon);
	make(w, &w->collector, "collector", &w->collector_ca, "URI:https://x/,URI:picket://jp-cert-x/collector/c1",
	     -DAY, soon);
	make(w, &w->expired, "expired", &w->sensor_ca, "URI:picket://jp-cert-x/sensor/old", -9 * DAY, -DAY);
	make(w, &w->early, "early", &w->sensor_ca, "URI:picket://jp-cert-x/sensor/new", DAY, soon);
	make(w, &w->foreign, "foreign", &w->other_ca, "URI:picket://jp-cert-x/sensor/tok-03", -DAY, soon);
	make(w, &w->wrong_role, "wrong-role", &w->sensor_ca, "URI:picket://jp-cert-x/partner/tok-03", -DAY, soon);
	make(w, &w->nameless, "nameless", &w->sensor_ca, NULL, -DAY, soon);
	make(w, &w->two_names, "two-names", &w->sensor_ca, "URI:picket://a/sensor/b,URI:picket://a/sensor/c", -DAY,
	     soon);
	make(w, &w->impostor, "impostor", &w->sensor_ca, "URI:picket://a/sensor/b\nc", -DAY, soon);
	snprintf(w->crl_path, sizeof(w->crl_path), "%s/sensor.crl", w->dir);
	make_crl(&w->sensor_ca, &w->sensor, 30 * DAY, w->crl_path);
	snprintf(w->no_crl_path, sizeof(w->no_crl_path), "%s/other.crl", w->dir);
	make_crl(&w->other_ca, NULL, 30 * DAY, w->no_crl_path);
	signal(SIGPIPE, SIG_IGN);
	log_open("test_tls", LOG_LEVEL_ERROR);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	struct party *all[] = {&w->sensor_ca,  &w->collector_ca, &w->other_ca,  &w->sensor,
			       &w->collector,  &w->expired,      &w->early,     &w->foreign,
			       &w->wrong_role, &w->nameless,     &w->two_names, &w->impostor};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		unlink(all[i]->cert_path);
		unlink(all[i]->key_path);
		X509_free(all[i]->cert);
		EVP_PKEY_free(all[i]->key);
	}
	char path[160];
	snprintf(path, sizeof(path), "%s/overdue.crl", w->dir);
	unlink(path);
	unlink(w->crl_path);
	unlink(w->no_crl_path);
	rmdir(w->dir);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good_peers_talk),
	    cmocka_unit_test(test_who_is_refused_and_why),
	    cmocka_unit_test(test_own_files_are_checked),
	    cmocka_unit_test(test_strangers),
	    cmocka_unit_test(test_rubbish_instead_of_a_handshake),
	    cmocka_unit_test(test_reload_revokes_live_connections),
	    cmocka_unit_test(test_overdue_list_still_counts),
	    cmocka_unit_test(test_slow_socket),
	    cmocka_unit_test(test_identity_text),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
