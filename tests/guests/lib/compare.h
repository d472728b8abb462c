/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the forms of forms.h on RAM and on a device, and compares. */
#ifndef TESTS_GUESTS_LIB_COMPARE_H
#define TESTS_GUESTS_LIB_COMPARE_H

#include "base/types.h"
#include "tests/guests/lib/forms.h"

struct compare_device {
	/* The device's words are to read as `word`. */
	void (*prepare)(uint32_t word);
	/* Called when RAM at FORM_TARGET holds `word`: is the device right? */
	bool (*left_as)(uint32_t word);
};

/*
 * Fails the test when a form of one of the kinds does another thing on the page
 * `device` than on RAM full of the word `fill`. Prints those that do.
 */
void compare_forms(uint64_t kinds, uint64_t fill, uint64_t device,
		   const struct compare_device *operations);

#endif
