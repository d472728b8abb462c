/* SPDX-License-Identifier: Apache-2.0 */
/* mbedTLS's GCM by BearSSL (net/gcm.c): the context that mbedtls/gcm.h asks for. */
#ifndef NET_PORT_GCM_ALT_H
#define NET_PORT_GCM_ALT_H

#include <bearssl.h>

/* It may not be moved once it has a key: `gcm` points to `key`. */
typedef struct mbedtls_gcm_context {
	br_gcm_context gcm;
	union {
		const br_block_ctr_class *class;
		br_aes_x86ni_ctr_keys ni;
		br_aes_ct64_ctr_keys ct64;
	} key;
	int mode;
} mbedtls_gcm_context;

#endif
