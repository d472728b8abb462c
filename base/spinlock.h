/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A spinlock for the few places that need one. The hypervisor runs with
 * interrupts off, so taking one needs no more than the lock itself.
 */
#ifndef BASE_SPINLOCK_H
#define BASE_SPINLOCK_H

#include <stdatomic.h>

struct spinlock {
	atomic_flag held;
};

#define SPINLOCK_INIT            \
	{                        \
		ATOMIC_FLAG_INIT \
	}

static inline void spin_lock(struct spinlock *lock)
{
	while (atomic_flag_test_and_set_explicit(&lock->held, memory_order_acquire)) {
		__builtin_ia32_pause();
	}
}

static inline void spin_unlock(struct spinlock *lock)
{
	atomic_flag_clear_explicit(&lock->held, memory_order_release);
}

#endif
