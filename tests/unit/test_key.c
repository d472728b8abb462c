/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and random numbers: HMAC by RFC 4231, HKDF by RFC 5869, and the generator
 * beside an independent one in Python's hmac and hashlib.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "net/hmac.h"
#include "net/key.h"
#include "net/random.h"
#include "tests/fake_arch/fake_arch.h"

static void assert_hex(const uint8_t *bytes, size_t size, const char *expected)
{
	char text[256] = "";

	assert_true(2 * size < sizeof(text));
	for (size_t i = 0; i < size; i++) {
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	}
	assert_string_equal(text, expected);
}

static void check_hmac(const void *secret, size_t secret_size, const char *text,
		       const char *expected)
{
	struct hmac_key key;
	uint8_t mac[HMAC_SIZE];

	hmac_key_set(&key, secret, secret_size);
	/* A key serves any number of times. */
	for (unsigned i = 0; i < 2; i++) {
		hmac(&key, text, strlen(text), mac);
		assert_hex(mac, sizeof(mac), expected);
	}
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_hmac(void **state)
{
	uint8_t secret[131];

	(void)state;
	memset(secret, 0x0b, sizeof(secret));
	check_hmac(secret, 20, "Hi There",
		   "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	check_hmac("Jefe", 4, "what do ya want for nothing?",
		   "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(secret, 0xaa, sizeof(secret));
	check_hmac(secret, sizeof(secret), "Test Using Larger Than Block-Size Key - Hash Key First",
		   "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* Where the MAC goes may be where the data was. */
static void test_hmac_in_place(void **state)
{
	struct hmac_key key;
	uint8_t text[HMAC_SIZE] = "Hi There";
	uint8_t secret[20];

	(void)state;
	memset(secret, 0x0b, sizeof(secret));
	hmac_key_set(&key, secret, sizeof(secret));
	hmac(&key, text, 8, text);
	assert_hex(text, sizeof(text),
		   "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

static void fill(uint8_t *bytes, size_t size, uint8_t first)
{
	for (size_t i = 0; i < size; i++) {
		bytes[i] = (uint8_t)(first + i);
	}
}

static void check_hkdf(size_t secret_size, struct hkdf_input secret, size_t salt_size,
		       size_t info_size, size_t size, const char *expected)
{
	uint8_t salt[80], info[80], out[82];

	secret.size = secret_size;
	fill(salt, sizeof(salt), salt_size == 80 ? 0x60 : 0x00);
	fill(info, sizeof(info), info_size == 80 ? 0xb0 : 0xf0);
	hkdf(secret, (struct hkdf_input){salt, salt_size}, (struct hkdf_input){info, info_size},
	     out, size);
	assert_hex(out, size, expected);
}

/* RFC 5869, A.1 to A.3: basic, longer, and without salt and info. */
static void test_hkdf(void **state)
{
	uint8_t same[22], count[80];

	(void)state;
	memset(same, 0x0b, sizeof(same));
	fill(count, sizeof(count), 0);
	check_hkdf(22, (struct hkdf_input){.data = same}, 13, 10, 42,
		   "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
		   "34007208d5b887185865");
	check_hkdf(80, (struct hkdf_input){.data = count}, 80, 80, 82,
		   "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
		   "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
		   "cc30c58179ec3e87c14c01d5c1f3434f1d87");
	check_hkdf(22, (struct hkdf_input){.data = same}, 0, 0, 42,
		   "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
		   "9d201395faa4b61a96c8");
}

static void test_purposes(void **state)
{
	uint8_t pair_key[KEY_SIZE], out[KEY_SIZE];

	(void)state;
	fill(pair_key, sizeof(pair_key), 0);
	key_derive(pair_key, KEY_PURPOSE_BEAT, out);
	assert_hex(out, sizeof(out),
		   "94ee9d9ab061b6bd459eccac09770c40e5dcceaf65cf3be34dbb21ef7b648e79");
	key_derive(pair_key, KEY_PURPOSE_STREAM, out);
	assert_hex(out, sizeof(out),
		   "555106c244f2a494682d73a17fb6e88edf86de61f04e6470a55b732050b5be7e");
}

static void test_random_bytes(void **state)
{
	uint8_t bytes[40], one;

	(void)state;
	fake_arch_reset(0);
	fake.random_seed = 7;
	assert_int_equal(random_init(), 0);
	assert_int_equal(random_bytes(bytes, sizeof(bytes)), 0);
	assert_hex(bytes, sizeof(bytes),
		   "313069ab667bb047bb6631288e1c4ca53558f58007e70fc88a90731d173dd7a3"
		   "0466d7f5ae8afe43");
	/* Seeded anew after 1024 calls. */
	for (unsigned i = 0; i < 1023; i++) {
		assert_int_equal(random_for_tls(NULL, &one, 1), 0);
	}
	assert_int_equal(random_bytes(bytes, 32), 0);
	assert_hex(bytes, 32, "0bf95fa866807ff38759b7c1d936c06219f164c37063e808d65d5c1e60acd00c");
	assert_int_equal(fake.fpu_count, 0);
}

/* Two hosts whose generators start alike. */
static void test_random_mixed(void **state)
{
	uint8_t numbers[2][16];

	(void)state;
	for (uint8_t host = 0; host < 2; host++) {
		fake_arch_reset(0);
		assert_int_equal(random_init(), 0);
		random_mix(&host, sizeof(host));
		assert_int_equal(random_bytes(numbers[host], sizeof(numbers[host])), 0);
	}
	assert_memory_not_equal(numbers[0], numbers[1], sizeof(numbers[0]));
}

static void check_without_seed(int error, const char *expected)
{
	uint8_t bytes[4] = {1, 2, 3, 4};
	struct log_line line;
	uint64_t next = log_next();

	fake_arch_reset(0);
	fake.random_error = error;
	assert_int_equal(random_init(), error);
	assert_true(log_read(&next, &line));
	assert_int_equal(line.level, LOG_ERROR);
	assert_non_null(strstr(line.text, expected));
	assert_non_null(strstr(line.text, "streams and heartbeats stay off"));
	assert_int_equal(random_bytes(bytes, sizeof(bytes)), error);
	assert_hex(bytes, sizeof(bytes), "00000000");
	/* What needs no secret still differs from call to call. */
	assert_int_not_equal(random_number(), random_number());
}

static void test_random_without_seed(void **state)
{
	(void)state;
	check_without_seed(-ENODEV, "neither RDSEED nor RDRAND");
	check_without_seed(-EIO, "does not deliver");
}

/* A generator that fails later gives nothing more, and goes on when it works again. */
static void test_random_fails_later(void **state)
{
	uint8_t byte;

	(void)state;
	fake_arch_reset(0);
	assert_int_equal(random_init(), 0);
	fake.random_error = -EIO;
	for (unsigned i = 0; i < 1024; i++) {
		assert_int_equal(random_bytes(&byte, 1), 0);
	}
	assert_int_equal(random_bytes(&byte, 1), -EIO);
	assert_int_equal(random_bytes(&byte, 1), -EIO);
	fake.random_error = 0;
	assert_int_equal(random_bytes(&byte, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_hmac_in_place),
		cmocka_unit_test(test_hkdf),
		cmocka_unit_test(test_purposes),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_random_mixed),
		cmocka_unit_test(test_random_without_seed),
		cmocka_unit_test(test_random_fails_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
