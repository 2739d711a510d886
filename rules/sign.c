#include "rules/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/hash.h"
#include "common/secret.h"
#include "common/text.h"

struct sign_key {
	EVP_PKEY *pkey;
};

static struct sign_key *wrap(EVP_PKEY *pkey)
{
	struct sign_key *k = xcalloc(1, sizeof(*k));
	k->pkey = pkey;
	return k;
}

struct sign_key *sign_key_new(struct err *e)
{
	EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (!pkey) {
		err_set(e, "cannot make an Ed25519 key: OpenSSL refuses");
		return NULL;
	}
	return wrap(pkey);
}

void sign_key_free(struct sign_key *k)
{
	if (!k)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

/* ---- files ---- */

struct sign_key *sign_key_read(const char *path, struct err *e)
{
	static char none[] = ""; /* an encrypted key is refused, not asked about on a terminal */
	FILE *f = secret_open(path, "the key", e);
	if (!f)
		return NULL;
	EVP_PKEY *pkey = PEM_read_PrivateKey(f, NULL, NULL, none);
	fclose(f);
	if (!pkey)
		err_set(e, "%s holds no private key in PEM (picket rules keygen makes one)", path);
	if (pkey && EVP_PKEY_get_id(pkey) != EVP_PKEY_ED25519) {
		err_set(e, "the key %s is not an Ed25519 key", path);
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
	ERR_clear_error();
	return pkey ? wrap(pkey) : NULL;
}

bool sign_key_write(const struct sign_key *k, const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, SECRET_FILE_MODE);
	FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f)
		return err_errno(e, "cannot write the key %s", path);
	bool ok = fchmod(fd, SECRET_FILE_MODE) == 0 &&
		  PEM_write_PKCS8PrivateKey(f, k->pkey, NULL, NULL, 0, NULL, NULL) == 1;
	ok = fflush(f) == 0 && fsync(fd) == 0 && ok;
	ok = fclose(f) == 0 && ok;
	if (ok)
		return true;
	err_errno(e, "cannot write the key %s", path);
	unlink(path);
	return false;
}

/* ---- public keys ---- */

bool sign_key_public(const struct sign_key *k, uint8_t out[static SIGN_PUBLIC_BYTES], struct err *e)
{
	size_t n = SIGN_PUBLIC_BYTES;
	if (EVP_PKEY_get_raw_public_key(k->pkey, out, &n) == 1 && n == SIGN_PUBLIC_BYTES)
		return true;
	return err_set(e, "the key gives no Ed25519 public key");
}

void sign_key_id(const uint8_t pub[static SIGN_PUBLIC_BYTES], char out[static SIGN_KEY_ID_LEN])
{
	uint8_t digest[32];
	hash_sha256(digest, pub, SIGN_PUBLIC_BYTES);
	text_hex(out, digest, (SIGN_KEY_ID_LEN - 1) / 2);
}

/* ---- signatures ---- */

/* What is signed: the context, a NUL, the bytes. */
static void compose(struct buf *b, const char *context, const void *data, size_t n)
{
	buf_add(b, context, strlen(context) + 1);
	buf_add(b, data, n);
}

bool sign_make(const struct sign_key *k, const char *context, const void *data, size_t n,
	       uint8_t out[static SIGN_SIGNATURE_BYTES], struct err *e)
{
	struct buf all = {0};
	size_t out_n = SIGN_SIGNATURE_BYTES;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	compose(&all, context, data, n);
	bool ok = c && EVP_DigestSignInit(c, NULL, NULL, NULL, k->pkey) == 1 &&
		  EVP_DigestSign(c, out, &out_n, all.p, all.n) == 1 && out_n == SIGN_SIGNATURE_BYTES;
	EVP_MD_CTX_free(c);
	buf_free(&all);
	ERR_clear_error();
	return ok || err_set(e, "cannot sign: OpenSSL refuses the key");
}

bool sign_holds(const uint8_t pub[static SIGN_PUBLIC_BYTES], const char *context, const void *data, size_t n,
		const uint8_t signature[static SIGN_SIGNATURE_BYTES])
{
	struct buf all = {0};
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, pub, SIGN_PUBLIC_BYTES);
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	compose(&all, context, data, n);
	bool ok = pkey && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, pkey) == 1 &&
		  EVP_DigestVerify(c, signature, SIGN_SIGNATURE_BYTES, all.p, all.n) == 1;
	EVP_MD_CTX_free(c);
	EVP_PKEY_free(pkey);
	buf_free(&all);
	ERR_clear_error();
	return ok;
}
