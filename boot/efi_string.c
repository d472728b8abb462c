/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few functions of the C library that the loader needs: its own code, the
 * configuration parser, and what the compiler calls by itself. newlib is built
 * for the hypervisor's addresses and cannot be linked here.
 */
#include <stdint.h>
#include <string.h>

void *memcpy(void *restrict target, const void *restrict source, size_t size)
{
	void *result = target;

	__asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(size) : : "memory");
	return result;
}

void *memset(void *target, int value, size_t size)
{
	void *result = target;

	__asm__ volatile("rep stosb" : "+D"(target), "+c"(size) : "a"(value) : "memory");
	return result;
}

int memcmp(const void *left, const void *right, size_t size)
{
	const uint8_t *a = left, *b = right;

	for (size_t i = 0; i < size; i++) {
		if (a[i] != b[i]) {
			return a[i] - b[i];
		}
	}
	return 0;
}

void *memchr(const void *memory, int value, size_t size)
{
	const uint8_t *bytes = memory;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == (uint8_t)value) {
			return (void *)(uintptr_t)&bytes[i];
		}
	}
	return NULL;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length] != '\0') {
		length++;
	}
	return length;
}
