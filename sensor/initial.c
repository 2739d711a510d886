/* Keys of QUIC Initial packets:
 *
 *   initial = HKDF-Extract(salt of the version, destination id of the client's first packet)
 *   client | server secret = Expand-Label(initial, "client in" | "server in", 32)
 *   key, iv, hp = Expand-Label(secret, "quic key" 16, "quic iv" 12, "quic hp" 16)
 *
 * and the packet: header protection is AES-128-ECB over a sample (RFC 9001 §5.4),
 * the payload AES-128-GCM with the unprotected header as associated data. All
 * lengths are at most one hash, so an Expand is one HMAC. */
#include "sensor/initial.h"

#include <pthread.h>
#include <string.h>

#define OPENSSL_SUPPRESS_DEPRECATED /* the direct digest functions: common/hash.c says why */
#include <openssl/aes.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "common/scratch.h"

#define SALT_SIZE   20
#define ID_MAX      20
#define SECRET_SIZE 32
#define TAG_SIZE    16
#define SAMPLE_SIZE 16
#define SAMPLE_AT   4 /* behind where the number begins, as if it were the longest */
#define NUMBER_MAX  4

static const uint8_t salt_v1[SALT_SIZE] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
					   0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
static const uint8_t salt_v2[SALT_SIZE] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
					   0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};
static const uint8_t salt_29[SALT_SIZE] = {0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
					   0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99};
static const uint8_t salt_23[SALT_SIZE] = {0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
					   0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02};
static const uint8_t salt_21[SALT_SIZE] = {0x7f, 0xbc, 0xdb, 0x0e, 0x7c, 0x66, 0xbb, 0xe9, 0x19, 0x3a,
					   0x96, 0xcd, 0x21, 0x51, 0x9e, 0xbd, 0x7a, 0x02, 0x64, 0x4a};
static const uint8_t salt_q050[SALT_SIZE] = {0x50, 0x45, 0x74, 0xef, 0xd0, 0x66, 0xfe, 0x2f, 0x9d, 0x94,
					     0x5c, 0xfc, 0xdb, 0xd3, 0xa7, 0xf0, 0xd3, 0xb5, 0x6b, 0x45};
static const uint8_t salt_t050[SALT_SIZE] = {0x7f, 0xf5, 0x79, 0xe5, 0xac, 0xd0, 0x72, 0x91, 0x55, 0x80,
					     0x30, 0x4c, 0x43, 0xa2, 0x36, 0x7c, 0x60, 0x48, 0x83, 0x10};
static const uint8_t salt_t051[SALT_SIZE] = {0x7a, 0x4e, 0xde, 0xf4, 0xe7, 0xcc, 0xee, 0x5f, 0xa4, 0x50,
					     0x6c, 0x19, 0x12, 0x4f, 0xc8, 0xcc, 0xda, 0x6e, 0x03, 0x3d};

/* Ranges of version numbers, both ends included. */
static const struct {
	uint32_t from, to;
	struct initial_scheme scheme;
} schemes[] = {
    {0x00000001, 0x00000001, {.salt = salt_v1}},
    {0x6b3343cf, 0x6b3343cf, {.salt = salt_v2, .v2 = true}},
    {0xff000021, 0xff000022, {.salt = salt_v1}}, /* drafts 33, 34 */
    {0xff00001d, 0xff000020, {.salt = salt_29}},
    {0xff000017, 0xff00001c, {.salt = salt_23}},
    {0xff000015, 0xff000016, {.salt = salt_21}},
    {0xfaceb001, 0xfaceb001, {.salt = salt_21}}, /* mvfst: draft 22, 27 and its experiments */
    {0xfaceb002, 0xfaceb00e, {.salt = salt_23}},
    {0x51303530, 0x51303530, {.salt = salt_q050, .google = true, .chlo = true}}, /* Q050 */
    {0x54303530, 0x54303530, {.salt = salt_t050, .google = true}},               /* T050, T051: a TLS handshake */
    {0x54303531, 0x54303531, {.salt = salt_t051, .google = true}},
};

static const struct initial_scheme any_of[] = {{.salt = salt_v1}, {.salt = salt_29}, {.salt = salt_23}};

bool initial_scheme_of(uint32_t version, unsigned which, struct initial_scheme *out)
{
	bool reserved = (version & 0x0f0f0f0f) == 0x0a0a0a0a;
	if (which >= (reserved ? sizeof(any_of) / sizeof(any_of[0]) : 1))
		return false;
	if (reserved) {
		*out = any_of[which];
		return true;
	}
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (version < schemes[i].from || version > schemes[i].to)
			continue;
		*out = schemes[i].scheme;
		return true;
	}
	return false;
}

/* ---- keys ---- */

/* HMAC-SHA-256 (RFC 2104) with the key already worked in: seven of the nine that
 * a connection takes share their keys. */
struct hmac {
	SHA256_CTX inner, outer;
};

/* key_n <= one block */
static void hmac_key(struct hmac *h, const uint8_t *key, size_t key_n)
{
	uint8_t pad[SHA256_CBLOCK];
	memset(pad, 0x36, sizeof(pad));
	for (size_t i = 0; i < key_n; i++)
		pad[i] ^= key[i];
	SHA256_Init(&h->inner);
	SHA256_Update(&h->inner, pad, sizeof(pad));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	SHA256_Init(&h->outer);
	SHA256_Update(&h->outer, pad, sizeof(pad));
}

static void hmac(const struct hmac *h, const uint8_t *p, size_t n, uint8_t out[static SECRET_SIZE])
{
	SHA256_CTX inner = h->inner, outer = h->outer;
	SHA256_Update(&inner, p, n);
	SHA256_Final(out, &inner);
	SHA256_Update(&outer, out, SECRET_SIZE);
	SHA256_Final(out, &outer);
}

/* RFC 8446 §7.1 with an empty context: u16 n, u8 label length, "tls13 " label, u8 0;
 * and the counter 1 of HKDF's only block. */
static void expand(const struct hmac *secret, const char *label, uint8_t *out, size_t n)
{
	uint8_t info[64], block[SECRET_SIZE];
	size_t label_n = strlen(label), at = 0;
	info[at++] = 0;
	info[at++] = (uint8_t)n;
	info[at++] = (uint8_t)(6 + label_n);
	memcpy(info + at, "tls13 ", 6);
	memcpy(info + at + 6, label, label_n);
	at += 6 + label_n;
	info[at++] = 0;
	info[at++] = 1;
	hmac(secret, info, at, block);
	memcpy(out, block, n);
}

static void direction_keys(const struct hmac *initial, const char *label, bool v2, struct initial_keys *k)
{
	struct hmac h;
	uint8_t secret[SECRET_SIZE];
	expand(initial, label, secret, sizeof(secret));
	hmac_key(&h, secret, sizeof(secret));
	expand(&h, v2 ? "quicv2 key" : "quic key", k->key, sizeof(k->key));
	expand(&h, v2 ? "quicv2 iv" : "quic iv", k->iv, sizeof(k->iv));
	expand(&h, v2 ? "quicv2 hp" : "quic hp", k->mask, sizeof(k->mask));
}

/* The last answer: a flow's first packet is opened to see whether it is QUIC, and then
 * to be read. Making the keys costs three times what opening the packet does. */
struct known {
	const uint8_t *salt;
	bool v2;
	uint8_t id_n, id[ID_MAX];
	struct initial_keys client, server;
};

static bool same_id(const struct known *k, const struct initial_scheme *s, struct bytes id)
{
	return k->salt == s->salt && k->v2 == s->v2 && k->id_n == id.n && memcmp(k->id, id.p, id.n) == 0;
}

static void make_keys(const struct initial_scheme *s, struct bytes id, struct initial_keys *client,
		      struct initial_keys *server)
{
	struct hmac h;
	uint8_t initial[SECRET_SIZE];
	hmac_key(&h, s->salt, SALT_SIZE);
	hmac(&h, id.p, id.n, initial);
	hmac_key(&h, initial, sizeof(initial));
	direction_keys(&h, "client in", s->v2, client);
	direction_keys(&h, "server in", s->v2, server);
}

void initial_keys_of(const struct initial_scheme *s, struct bytes id, struct initial_keys *client,
		     struct initial_keys *server)
{
	static _Thread_local struct known known;
	if (id.n > ID_MAX) {
		make_keys(s, id, client, server);
		return;
	}
	if (!id.n || !same_id(&known, s, id)) {
		known.salt = s->salt;
		known.v2 = s->v2;
		known.id_n = (uint8_t)id.n;
		if (id.n)
			memcpy(known.id, id.p, id.n);
		make_keys(s, id, &known.client, &known.server);
	}
	*client = known.client;
	*server = known.server;
}

/* ---- packets ---- */

static void header_mask(const struct initial_keys *k, const uint8_t *sample, uint8_t out[static SAMPLE_SIZE])
{
	AES_KEY key;
	AES_set_encrypt_key(k->mask, 8 * sizeof(k->mask), &key);
	AES_encrypt(sample, out, &key);
}

static EVP_CIPHER *fetched; /* for good: looking it up by name costs more than one packet's decryption */

static void fetch(void)
{
	fetched = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
}

static const EVP_CIPHER *gcm(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, fetch);
	return fetched;
}

/* The header without its protection; gives its length, number included. */
static size_t unprotect(const uint8_t *packet, size_t number_at, const uint8_t mask[static 5], uint8_t *header,
			uint8_t nonce[static 12])
{
	memcpy(header, packet, number_at + NUMBER_MAX);
	header[0] ^= mask[0] & 0x0f;
	size_t number_n = (size_t)(header[0] & 3) + 1;
	for (size_t i = 0; i < number_n; i++) {
		header[number_at + i] ^= mask[1 + i];
		nonce[12 - number_n + i] ^= header[number_at + i];
	}
	return number_at + number_n;
}

static bool decrypt(EVP_CIPHER_CTX *ctx, const struct initial_keys *k, const uint8_t nonce[static 12],
		    struct bytes header, struct bytes sealed, uint8_t *plain)
{
	uint8_t tag[TAG_SIZE];
	int n = 0;
	size_t body_n = sealed.n - TAG_SIZE;
	memcpy(tag, sealed.p + body_n, TAG_SIZE);
	return EVP_DecryptInit_ex(ctx, gcm(), NULL, k->key, nonce) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, header.p, (int)header.n) == 1 &&
	       EVP_DecryptUpdate(ctx, plain, &n, sealed.p, (int)body_n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, tag) == 1 &&
	       EVP_DecryptFinal_ex(ctx, plain + n, &n) == 1;
}

size_t initial_open(const struct initial_keys *k, const uint8_t *packet, size_t number_at, size_t n, uint8_t *plain)
{
	SCRATCH uint8_t header[INITIAL_PACKET_MAX]; /* a token may fill most of the packet */
	uint8_t mask[SAMPLE_SIZE], nonce[12];
	size_t opened = 0;
	if (n > INITIAL_PACKET_MAX || n < number_at + SAMPLE_AT + SAMPLE_SIZE + 1)
		return 0;
	memcpy(nonce, k->iv, sizeof(nonce));
	header_mask(k, packet + number_at + SAMPLE_AT, mask);
	size_t header_n = unprotect(packet, number_at, mask, header, nonce);
	struct bytes sealed = {packet + header_n, n - header_n};
	if (sealed.n <= TAG_SIZE)
		return 0;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx && decrypt(ctx, k, nonce, (struct bytes){header, header_n}, sealed, plain))
		opened = sealed.n - TAG_SIZE;
	EVP_CIPHER_CTX_free(ctx);
	return opened;
}
