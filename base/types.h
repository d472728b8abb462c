/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types that every file uses: fixed-width integers, and one wrapped type
 * for each kind of address, so that mixing them does not compile.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define PAGE_SHIFT 12
#define PAGE_SIZE ((uint64_t)4096)

/* Guest-physical address. */
typedef struct {
	uint64_t v;
} gpa_t;

/* Host-physical address. */
typedef struct {
	uint64_t v;
} hpa_t;

#define GPA(x) ((gpa_t){(x)})
#define HPA(x) ((hpa_t){(x)})

/* No such address: never the result of a successful allocation or look-up. */
#define HPA_NONE HPA(UINT64_MAX)

static inline bool hpa_is_none(hpa_t hpa)
{
	return hpa.v == UINT64_MAX;
}

/* A point in time that never comes, in any unit. */
#define TIME_NEVER UINT64_MAX

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct of type `type` whose member `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* The result must be looked at: it carries an error. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

#endif
