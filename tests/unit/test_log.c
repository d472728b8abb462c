/* SPDX-License-Identifier: Apache-2.0 */
/* The log: what is kept, who is told, and that one line stays one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "tests/fake_arch/fake_arch.h"

static unsigned immediate_count, wake_count;
static struct log_line immediate_line;

static void immediate(const struct log_line *line)
{
	immediate_count++;
	immediate_line = *line;
}

static void wake(void)
{
	wake_count++;
}

static int setup(void **state)
{
	(void)state;
	fake_arch_reset(0);
	immediate_count = 0;
	wake_count = 0;
	log_set_immediate(NULL);
	log_set_listener(NULL);
	return 0;
}

static void test_write_and_read(void **state)
{
	uint64_t sequence;
	struct log_line line;

	(void)state;
	log_info("the first line, at 1 s of the fake clock, is where the log's time starts");
	sequence = log_next();
	fake.now_ns = 1234567890;
	log_warn("disk %u is %s", 3, "hot");
	assert_true(log_read(&sequence, &line));
	assert_string_equal(line.text, "disk 3 is hot");
	assert_int_equal(line.level, LOG_WARN);
	assert_int_equal(line.time_ns, 234567890);
	assert_int_equal(line.sequence + 1, sequence);
	assert_int_equal(sequence, log_next());
	assert_false(log_read(&sequence, &line));
}

static void test_overwritten_lines_show_in_the_sequence(void **state)
{
	uint64_t wanted = log_next(), sequence = wanted;
	struct log_line line;

	(void)state;
	for (unsigned i = 0; i < LOG_LINE_COUNT + 10; i++) {
		log_debug("line %u", i);
	}
	for (unsigned i = 10; i < LOG_LINE_COUNT + 10; i++) {
		char expected[32];

		snprintf(expected, sizeof(expected), "line %u", i);
		assert_true(log_read(&sequence, &line));
		assert_int_equal(line.sequence, wanted + i);
		assert_string_equal(line.text, expected);
	}
	assert_false(log_read(&sequence, &line));
}

static void test_long_lines_are_cut_and_say_so(void **state)
{
	char text[LOG_LINE_MAX + 10];
	uint64_t sequence = log_next();
	struct log_line line;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[LOG_LINE_MAX - 1] = '\0';
	log_info("%s", text);
	assert_true(log_read(&sequence, &line));
	assert_string_equal(line.text, text);

	text[LOG_LINE_MAX - 1] = 'x';
	text[LOG_LINE_MAX] = '\0';
	log_info("%s", text);
	assert_true(log_read(&sequence, &line));
	assert_int_equal(strlen(line.text), LOG_LINE_MAX - 1);
	assert_string_equal(line.text + LOG_LINE_MAX - 4, "...");
}

/* A guest's name or message must not draw on the operator's terminal. */
static void test_control_characters_do_not_pass(void **state)
{
	uint64_t sequence = log_next();
	struct log_line line;

	(void)state;
	log_info("a%sb", "\x1b[2J\r\n\xff");
	assert_true(log_read(&sequence, &line));
	assert_string_equal(line.text, "a?[2J???b");
}

static void test_immediate_until_somebody_listens(void **state)
{
	(void)state;
	log_set_immediate(immediate);
	log_error("first");
	assert_int_equal(immediate_count, 1);
	assert_string_equal(immediate_line.text, "first");
	log_set_listener(wake);
	log_error("second");
	assert_int_equal(immediate_count, 1);
	assert_int_equal(wake_count, 1);
}

#define WRITER_COUNT 4
#define WRITES 2000

static void *write_lines(void *context)
{
	for (unsigned i = 0; i < WRITES; i++) {
		log_info("writer %s line %04u writer %s", (char *)context, i, (char *)context);
	}
	return NULL;
}

static void test_lines_of_several_writers_stay_whole(void **state)
{
	static char names[WRITER_COUNT][2] = {"a", "b", "c", "d"};
	uint64_t sequence = log_next(), end = sequence + WRITER_COUNT * WRITES, expected;
	pthread_t threads[WRITER_COUNT];
	struct log_line line;

	(void)state;
	for (unsigned i = 0; i < WRITER_COUNT; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, names[i]), 0);
	}
	while (sequence < end) {
		expected = sequence;
		if (!log_read(&sequence, &line)) {
			continue;
		}
		assert_true(line.sequence >= expected);
		assert_int_equal(sequence, line.sequence + 1);
		assert_int_equal(strlen(line.text), strlen("writer a line 0000 writer a"));
		assert_int_equal(line.text[7], line.text[26]);
	}
	for (unsigned i = 0; i < WRITER_COUNT; i++) {
		pthread_join(threads[i], NULL);
	}
}

static atomic_uint inside, inside_max;

static void immediate_alone(const struct log_line *line)
{
	unsigned now = atomic_fetch_add(&inside, 1) + 1;

	(void)line;
	if (now > atomic_load(&inside_max)) {
		atomic_store(&inside_max, now);
	}
	sched_yield();
	atomic_fetch_sub(&inside, 1);
}

static void test_immediate_output_runs_on_one_cpu(void **state)
{
	static char name[] = "a";
	pthread_t threads[WRITER_COUNT];

	(void)state;
	log_set_immediate(immediate_alone);
	for (unsigned i = 0; i < WRITER_COUNT; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, name), 0);
	}
	for (unsigned i = 0; i < WRITER_COUNT; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(atomic_load(&inside_max), 1);
}

/* Last: the log does not come back from a panic. */
static void test_panic(void **state)
{
	(void)state;
	log_set_immediate(immediate);
	log_set_listener(wake);
	log_enter_panic();
	log_error("the reason");
	assert_int_equal(wake_count, 0);
	assert_int_equal(immediate_count, 1);
	assert_string_equal(immediate_line.text, "the reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_write_and_read, setup),
		cmocka_unit_test_setup(test_overwritten_lines_show_in_the_sequence, setup),
		cmocka_unit_test_setup(test_long_lines_are_cut_and_say_so, setup),
		cmocka_unit_test_setup(test_control_characters_do_not_pass, setup),
		cmocka_unit_test_setup(test_immediate_until_somebody_listens, setup),
		cmocka_unit_test_setup(test_lines_of_several_writers_stay_whole, setup),
		cmocka_unit_test_setup(test_immediate_output_runs_on_one_cpu, setup),
		cmocka_unit_test_setup(test_panic, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
