/* SPDX-License-Identifier: Apache-2.0 */
#include "net/key.h"

#include <string.h>

#include "net/hmac.h"

void key_derive(const uint8_t *pair_key, const char *purpose, uint8_t *out)
{
	hkdf((struct hkdf_input){pair_key, KEY_SIZE}, (struct hkdf_input){NULL, 0},
	     (struct hkdf_input){purpose, strlen(purpose)}, out, KEY_SIZE);
}
