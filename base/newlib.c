/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that newlib asks of the system below it.
 *
 * There is no heap: formatting falls back to what it has on the stack when it
 * gets no memory, and nothing else in use asks. Whoever starts to use a function
 * that needs files or processes learns it from the linker.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

struct _reent;

void *_malloc_r(struct _reent *reent, size_t size);
void *_realloc_r(struct _reent *reent, void *old, size_t size);
void _free_r(struct _reent *reent, void *memory);
_Noreturn void __stack_chk_fail(void);

void *_malloc_r(struct _reent *reent, size_t size)
{
	(void)reent;
	(void)size;
	return NULL;
}

void *_realloc_r(struct _reent *reent, void *old, size_t size)
{
	(void)reent;
	(void)old;
	(void)size;
	return NULL;
}

void _free_r(struct _reent *reent, void *memory)
{
	(void)reent;
	(void)memory;
}

/*
 * The compiler's stack protector. The guard's value is that of the image until
 * the start mixes in what no guest can know; its lowest byte stays zero, at
 * which string functions stop.
 */
uintptr_t __stack_chk_guard = 0xd1ad0aff51eca700;

void __stack_chk_fail(void)
{
	panic("stack smashed in the caller of %p", __builtin_return_address(0));
}
