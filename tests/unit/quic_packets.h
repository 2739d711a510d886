/* Initial packets sealed for tests: the other direction of sensor/initial.c. */
#ifndef TESTS_QUIC_PACKETS_H
#define TESTS_QUIC_PACKETS_H

#include <string.h>

#include <openssl/evp.h>

#include "common/buf.h"
#include "sensor/initial.h"

/* Appends to b the packet with this header (its last four bytes are the number)
 * and payload. */
static inline void seal(struct buf *b, const struct initial_keys *k, const struct buf *header,
			const struct buf *payload)
{
	uint8_t nonce[12], tag[16], mask[32];
	int n = 0;
	size_t begin = b->n, number_at = header->n - 4;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	memcpy(nonce, k->iv, sizeof(nonce));
	for (size_t i = 0; i < 4; i++)
		nonce[8 + i] ^= header->p[number_at + i];
	buf_add(b, header->p, header->n);
	buf_add(b, payload->p, payload->n);
	uint8_t *body = b->p + begin + header->n;
	EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, k->key, nonce);
	EVP_EncryptUpdate(ctx, NULL, &n, header->p, (int)header->n);
	EVP_EncryptUpdate(ctx, body, &n, payload->p, (int)payload->n);
	EVP_EncryptFinal_ex(ctx, tag, &n);
	EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, 16, tag);
	buf_add(b, tag, sizeof(tag));
	EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, k->mask, NULL);
	EVP_EncryptUpdate(ctx, mask, &n, b->p + begin + header->n, 16);
	b->p[begin] ^= mask[0] & 0x0f;
	for (size_t i = 0; i < 4; i++)
		b->p[begin + number_at + i] ^= mask[1 + i];
	EVP_CIPHER_CTX_free(ctx);
}

/* An Initial of the version with this payload. */
static inline void put_initial(struct buf *b, uint32_t version, const struct initial_keys *k, struct bytes to,
			       struct bytes from, uint8_t number, const struct buf *payload)
{
	struct buf header = {0};
	buf_u8(&header, version == 0x6b3343cf ? 0xd3 : 0xc3);
	buf_u32(&header, version);
	buf_u8(&header, (uint8_t)to.n);
	buf_add(&header, to.p, to.n);
	buf_u8(&header, (uint8_t)from.n);
	buf_add(&header, from.p, from.n);
	buf_u8(&header, 0);
	buf_u16(&header, (uint16_t)(0x4000 | (payload->n + 4 + 16)));
	buf_u32(&header, number);
	seal(b, k, &header, payload);
	buf_free(&header);
}

static inline void put_crypto(struct buf *b, const struct buf *stream, size_t offset, size_t n)
{
	buf_u8(b, 6);
	buf_u16(b, (uint16_t)(0x4000 | offset));
	buf_u16(b, (uint16_t)(0x4000 | n));
	buf_add(b, stream->p + offset, n);
}

#endif
