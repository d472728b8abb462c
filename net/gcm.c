/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AES-GCM for mbedTLS (MBEDTLS_GCM_ALT), by BearSSL: with AES-NI and PCLMULQDQ
 * where the CPU has them, else in constant time with general registers.
 *
 * Why: mbedTLS's own takes a block at a time, and a stream would end at a gigabit.
 * docs/benchmarks.md has the figures.
 *
 * Rules: all of it between fpu_begin and fpu_end (net/tls.c does so).
 */
#include <mbedtls/gcm.h>

#include <string.h>

#include <mbedtls/constant_time.h>
#include <mbedtls/platform_util.h>

void mbedtls_gcm_init(mbedtls_gcm_context *ctx)
{
	memset(ctx, 0, sizeof(*ctx));
}

void mbedtls_gcm_free(mbedtls_gcm_context *ctx)
{
	if (ctx != NULL) {
		mbedtls_platform_zeroize(ctx, sizeof(*ctx));
	}
}

int mbedtls_gcm_setkey(mbedtls_gcm_context *ctx, mbedtls_cipher_id_t cipher,
		       const unsigned char *key, unsigned int keybits)
{
	br_ghash ghash = br_ghash_pclmul_get();

	if (cipher != MBEDTLS_CIPHER_ID_AES) {
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	}
	if (br_aes_x86ni_ctr_get_vtable() != NULL) {
		br_aes_x86ni_ctr_init(&ctx->key.ni, key, keybits / 8);
	} else {
		br_aes_ct64_ctr_init(&ctx->key.ct64, key, keybits / 8);
	}
	br_gcm_init(&ctx->gcm, &ctx->key.class, ghash != NULL ? ghash : br_ghash_ctmul64);
	return 0;
}

int mbedtls_gcm_starts(mbedtls_gcm_context *ctx, int mode, const unsigned char *iv, size_t iv_len,
		       const unsigned char *add, size_t add_len)
{
	br_gcm_reset(&ctx->gcm, iv, iv_len);
	br_gcm_aad_inject(&ctx->gcm, add, add_len);
	br_gcm_flip(&ctx->gcm);
	ctx->mode = mode;
	return 0;
}

int mbedtls_gcm_update(mbedtls_gcm_context *ctx, size_t length, const unsigned char *input,
		       unsigned char *output)
{
	if (output != input) {
		memmove(output, input, length);
	}
	br_gcm_run(&ctx->gcm, ctx->mode == MBEDTLS_GCM_ENCRYPT, output, length);
	return 0;
}

int mbedtls_gcm_finish(mbedtls_gcm_context *ctx, unsigned char *tag, size_t tag_len)
{
	uint8_t whole[16];

	if (tag_len > sizeof(whole)) {
		return MBEDTLS_ERR_GCM_BAD_INPUT;
	}
	br_gcm_get_tag(&ctx->gcm, whole);
	memcpy(tag, whole, tag_len);
	return 0;
}

int mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t length,
			      const unsigned char *iv, size_t iv_len, const unsigned char *add,
			      size_t add_len, const unsigned char *input, unsigned char *output,
			      size_t tag_len, unsigned char *tag)
{
	mbedtls_gcm_starts(ctx, mode, iv, iv_len, add, add_len);
	mbedtls_gcm_update(ctx, length, input, output);
	return mbedtls_gcm_finish(ctx, tag, tag_len);
}

int mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t length, const unsigned char *iv,
			     size_t iv_len, const unsigned char *add, size_t add_len,
			     const unsigned char *tag, size_t tag_len, const unsigned char *input,
			     unsigned char *output)
{
	uint8_t good[16];
	int error = mbedtls_gcm_crypt_and_tag(ctx, MBEDTLS_GCM_DECRYPT, length, iv, iv_len, add,
					      add_len, input, output, tag_len, good);

	if (error == 0 && mbedtls_ct_memcmp(good, tag, tag_len) != 0) {
		mbedtls_platform_zeroize(output, length);
		error = MBEDTLS_ERR_GCM_AUTH_FAILED;
	}
	return error;
}
