/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a CPU, left by a jump out of a service or out of its idle wait. */
#include "tests/unit/vm_fixture.h"
#include "vmm/sched.h"

#define SLICE (10 * MS)

static jmp_buf way_out;
static unsigned service_turns, service_turns_max;
static uint64_t service_next_ns;

static uint64_t service(uint64_t now_ns)
{
	assert_int_equal(now_ns, fake.now_ns);
	if (++service_turns > service_turns_max) {
		longjmp(way_out, 1);
	}
	return service_next_ns;
}

static uint64_t lazy_service(uint64_t now_ns)
{
	(void)now_ns;
	return TIME_NEVER;
}

static void leave_when_idle(uint64_t deadline_ns)
{
	(void)deadline_ns;
	longjmp(way_out, 1);
}

/* The loop until it idles, or the services have had so many turns. */
static void loop(unsigned turns)
{
	static service_fn *const services[] = {lazy_service, service, lazy_service, NULL};

	sched_init(services);
	service_turns = 0;
	service_turns_max = turns;
	fake.idle = leave_when_idle;
	if (setjmp(way_out) == 0) {
		sched_loop();
	}
}

static int setup_services(void **state)
{
	setup(state);
	service_next_ns = TIME_NEVER;
	return 0;
}

static int teardown_both(void **state)
{
	vm = vm_at(1);
	request(VM_REQUEST_STOP);
	vm = vm_at(0);
	return teardown(state);
}

static void start_both(void)
{
	for (unsigned i = 0; i < 2; i++) {
		vm = vm_at(i);
		start();
		vm->vcpu->run_count = 0;
	}
	vm = vm_at(0);
}

static void test_nothing_to_do(void **state)
{
	(void)state;
	loop(100);
	assert_int_equal(service_turns, 1);
	assert_int_equal(fake.idle_count, 1);
	assert_int_equal(fake.idle_deadline_ns, TIME_NEVER);
}

static void test_a_request_wakes(void **state)
{
	(void)state;
	vm_request(vm, VM_REQUEST_START);
	loop(3);
	assert_int_equal(vm->state, VM_RUNNING);
	assert_int_equal(fake.idle_count, 0);
}

static void test_guests_take_turns(void **state)
{
	(void)state;
	start_both();
	loop(20);
	assert_int_equal(service_turns, 21); /* one before each turn of a guest */
	assert_int_equal(vm_at(0)->vcpu->run_count, 10);
	assert_int_equal(vm_at(1)->vcpu->run_count, 10);
}

/* One that sleeps or is paused costs the other nothing. */
static void test_only_ready_guests(void **state)
{
	(void)state;
	start_both();
	vm->halted = true;
	loop(20);
	assert_int_equal(vm_at(0)->vcpu->run_count, 0);
	assert_int_equal(vm_at(1)->vcpu->run_count, 20);
	request(VM_REQUEST_PAUSE);
	loop(20);
	assert_int_equal(vm_at(0)->vcpu->run_count, 0);
	assert_int_equal(vm_at(1)->vcpu->run_count, 40);
}

static void test_slice(void **state)
{
	uint64_t now;

	(void)state;
	start_both();
	now = fake.now_ns;
	loop(1);
	assert_int_equal(vm->vcpu->deadline_ns, now + SLICE);
	/* A service that is due ends the turn. */
	now = fake.now_ns;
	service_next_ns = now + MS / 3;
	loop(1);
	assert_int_equal(vm->vcpu->deadline_ns, now + MS / 3);
}

/* Idle until the first of: a service, a timer of a guest on this CPU. */
static void test_idle_until(void **state)
{
	uint64_t timer;

	(void)state;
	start_both();
	vm_at(0)->halted = vm_at(1)->halted = true;
	arm_timer(5 * MS);
	timer = fake.now_ns + 5 * MS;
	loop(100);
	assert_int_equal(fake.idle_deadline_ns, timer);
	service_next_ns = timer - 1;
	loop(100);
	assert_int_equal(fake.idle_deadline_ns, timer - 1);
	service_next_ns = timer + 1;
	loop(100);
	assert_int_equal(fake.idle_deadline_ns, timer);
	vm->cpu = 1;
	loop(100);
	assert_int_equal(fake.idle_deadline_ns, timer + 1);
	vm->cpu = 0;
}

/* Another CPU has its own guests, and no services. */
static void test_other_cpu(void **state)
{
	(void)state;
	fake.cpu_count = 2;
	start_both();
	vm_at(1)->cpu = 1;
	vm_at(1)->vcpu->run_count = 0;
	fake_vcpu_script(vm_at(1)->vcpu, (struct fake_exit){.exit = {.reason = EXIT_HLT}});
	fake.cpu_id = 1;
	service_next_ns = fake.now_ns;
	loop(0);
	assert_int_equal(service_turns, 0);
	assert_int_equal(vm_at(0)->vcpu->run_count, 0);
	assert_int_equal(vm_at(1)->vcpu->run_count, 1);
	assert_int_equal(fake.idle_deadline_ns, TIME_NEVER);
}

#define SCHED_TEST(f) cmocka_unit_test_setup_teardown(f, setup_services, teardown_both)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SCHED_TEST(test_nothing_to_do),
		SCHED_TEST(test_a_request_wakes),
		SCHED_TEST(test_guests_take_turns),
		SCHED_TEST(test_only_ready_guests),
		SCHED_TEST(test_slice),
		SCHED_TEST(test_idle_until),
		SCHED_TEST(test_other_cpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
