/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports and device registers: one instruction for each access, of just the size
 * that was asked for, whatever the compiler would make of a volatile variable.
 */
#include "arch/x86_64/arch.h"

#define ACCESSORS(bits, suffix)                                                                 \
	uint##bits##_t io_read##bits(uint16_t port)                                             \
	{                                                                                       \
		uint##bits##_t value;                                                           \
                                                                                                \
		__asm__ volatile("in" suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");  \
		return value;                                                                   \
	}                                                                                       \
                                                                                                \
	void io_write##bits(uint16_t port, uint##bits##_t value)                                \
	{                                                                                       \
		__asm__ volatile("out" suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory"); \
	}                                                                                       \
                                                                                                \
	uint##bits##_t mmio_read##bits(const volatile void *reg)                                \
	{                                                                                       \
		uint##bits##_t value;                                                           \
                                                                                                \
		__asm__ volatile("mov" suffix " %1, %0"                                         \
				 : "=r"(value)                                                  \
				 : "m"(*(const volatile uint##bits##_t *)reg)                   \
				 : "memory");                                                   \
		return value;                                                                   \
	}                                                                                       \
                                                                                                \
	void mmio_write##bits(volatile void *reg, uint##bits##_t value)                         \
	{                                                                                       \
		__asm__ volatile("mov" suffix " %1, %0"                                         \
				 : "=m"(*(volatile uint##bits##_t *)reg)                        \
				 : "r"(value)                                                   \
				 : "memory");                                                   \
	}

ACCESSORS(8, "b")
ACCESSORS(16, "w")
ACCESSORS(32, "l")
