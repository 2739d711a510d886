/* A carried file, whose head is signed by a key that everybody knows here, so that
 * what lies behind the signature is reached: the input is content, or a whole file.
 * For: rules/bundle.c */
#include <stdlib.h>

#include "rules/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct sign_key *k;
	static uint8_t pub[SIGN_PUBLIC_BYTES];
	struct bundle b = {.from = "a", .to = "b", .number = 1, .previous = "0"};
	struct buf file = {0};
	struct err e;
	if (!k && (!(k = sign_key_new(&e)) || !sign_key_public(k, pub, &e)))
		abort();
	if (bundle_read(&b, (struct bytes){data, n}, pub, &e) && b.content.n > n)
		abort();
	b = (struct bundle){.from = "a", .to = "b", .number = 1, .previous = "0"};
	if (!bundle_write(&b, (struct bytes){data, n}, k, &file, &e) ||
	    !bundle_read(&b, (struct bytes){file.p, file.n}, pub, &e) || b.content.n != n)
		abort();
	if (n && file.n > n) { /* a byte that changes on the way */
		file.p[data[0] % file.n] ^= 0x20;
		if (bundle_read(&b, (struct bytes){file.p, file.n}, pub, &e))
			abort();
	}
	buf_free(&file);
	return 0;
}
