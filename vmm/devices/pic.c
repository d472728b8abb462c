/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/devices/pic.h"

#include <errno.h>

#include "base/bits.h"
#include "vmm/machine.h"
#include "vmm/platform_state.h"

#define MASTER 0
#define SLAVE 1
#define CASCADE 2 /* the master's input that the slave drives */
#define SPURIOUS 7
#define OFFSET_ELCR 4

#define ICW1_SELECT BIT(4)
#define ICW1_IC4 BIT(0)
#define ICW1_SINGLE BIT(1)
#define ICW2_BASE BITS(7, 3)
#define ICW4_AUTO_EOI BIT(1)
#define ICW4_SPECIAL_NESTED BIT(4)

#define OCW2_COMMAND BITS(7, 5)
#define OCW2_LEVEL BITS(2, 0)
enum {
	ROTATE_ON_AUTO_EOI_CLEAR = 0,
	EOI = 1,
	NO_OPERATION = 2,
	SPECIFIC_EOI = 3,
	ROTATE_ON_AUTO_EOI_SET = 4,
	ROTATE_EOI = 5,
	SET_PRIORITY = 6,
	ROTATE_SPECIFIC_EOI = 7,
};

#define OCW3_SELECT BIT(3)
#define OCW3_READ_ISR BIT(0)
#define OCW3_READ BIT(1)
#define OCW3_POLL BIT(2)
#define OCW3_SPECIAL_MASK BIT(5)
#define OCW3_SPECIAL_MASK_SET BIT(6)

/* IRQ 0, 1, 2, 8 and 13 are edges on every PC (82371SB, ELCR1 and ELCR2). */
static const uint8_t elcr_writable[] = {0xf8, 0xde};

/* 0 is the highest of a chip's eight priorities; 8 stands for none. */
#define PRIORITY_NONE 8

static unsigned priority_of(const struct pic_chip_state_v1 *c, uint8_t inputs)
{
	unsigned first = (c->lowest + 1) % 8;
	unsigned rotated = (inputs | inputs << 8) >> first & 0xff;

	return rotated ? (unsigned)__builtin_ctz(rotated) : PRIORITY_NONE;
}

static unsigned input_at(const struct pic_chip_state_v1 *c, unsigned priority)
{
	return (c->lowest + 1 + priority) % 8;
}

/* The input to be served next, or -1. */
static int chip_request(const struct pic_chip_state_v1 *c)
{
	unsigned request = priority_of(c, c->irr & ~c->imr);
	uint8_t served = c->isr;

	if (c->init_step || request == PRIORITY_NONE) {
		return -1;
	}
	if (c->special_mask) {
		served &= ~c->imr;
	}
	if (c->special_nested) {
		/* The slave may ask again while one of its inputs is served. */
		served &= ~BIT(CASCADE);
	}
	return request < priority_of(c, served) ? (int)input_at(c, request) : -1;
}

static void chip_set_line(struct pic_chip_state_v1 *c, unsigned input, bool level)
{
	uint8_t mask = BIT(input);

	if (!level) {
		/* A request must stand until its acknowledge, edge or not. */
		c->lines &= ~mask;
		c->irr &= ~mask;
		return;
	}
	if (!(c->lines & mask) || (c->elcr & mask)) {
		c->irr |= mask;
	}
	c->lines |= mask;
}

static void chip_acknowledge(struct pic_chip_state_v1 *c, unsigned input)
{
	if (c->auto_eoi) {
		if (c->rotate_on_auto_eoi) {
			c->lowest = input;
		}
	} else {
		c->isr |= BIT(input);
	}
	if (!(c->elcr & BIT(input))) {
		c->irr &= ~BIT(input);
	}
}

bool pic_output(const struct pic *pic)
{
	return chip_request(&pic->state.chips[MASTER]) >= 0;
}

/* After any change: slave to master to LINT0. */
static void update_output(struct pic *pic)
{
	struct pic_chip_state_v1 *chips = pic->state.chips;
	bool cascade = chip_request(&chips[SLAVE]) >= 0;

	if (cascade != !!(chips[MASTER].lines & BIT(CASCADE))) {
		chip_set_line(&chips[MASTER], CASCADE, cascade);
	}
	lapic_set_lint0(&pic->device.platform->lapic[0], pic_output(pic));
}

void pic_set_line(struct pic *pic, unsigned irq, bool level)
{
	chip_set_line(&pic->state.chips[irq / 8], irq % 8, level);
	update_output(pic);
}

/* Acknowledges a chip's request: its input, or -1. */
static int chip_serve(struct pic *pic, unsigned chip)
{
	struct pic_chip_state_v1 *chips = pic->state.chips;
	int input = chip_request(&chips[chip]);

	if (input >= 0) {
		chip_acknowledge(&chips[chip], input);
	}
	if (chip == SLAVE) {
		/* INT falls at the acknowledge: a further request is a new edge. */
		chip_set_line(&chips[MASTER], CASCADE, false);
	}
	return input;
}

uint8_t pic_acknowledge(struct pic *pic)
{
	struct pic_chip_state_v1 *chips = pic->state.chips;
	unsigned chip = MASTER;
	int input = chip_serve(pic, MASTER);

	if (input == CASCADE) {
		chip = SLAVE;
		input = chip_serve(pic, SLAVE);
	}
	update_output(pic);
	return chips[chip].base + (input >= 0 ? input : SPURIOUS);
}

static void write_icw1(struct pic_chip_state_v1 *c, uint8_t value)
{
	*c = (struct pic_chip_state_v1){
		.lines = c->lines,
		.elcr = c->elcr,
		.irr = c->lines & c->elcr,
		.base = c->base,
		.lowest = 7,
		.init_step = 2,
		.icw4_needed = !!(value & ICW1_IC4),
		.single = !!(value & ICW1_SINGLE),
	};
}

static void write_icw(struct pic_chip_state_v1 *c, uint8_t value)
{
	switch (c->init_step) {
	case 2:
		c->base = value & ICW2_BASE;
		c->init_step = c->single ? (c->icw4_needed ? 4 : 0) : 3;
		break;
	case 3: /* the wiring is fixed, whatever it says */
		c->init_step = c->icw4_needed ? 4 : 0;
		break;
	default:
		c->auto_eoi = !!(value & ICW4_AUTO_EOI);
		c->special_nested = !!(value & ICW4_SPECIAL_NESTED);
		c->init_step = 0;
		break;
	}
}

/* The end of the most urgent service; in special mask mode masked ones stay. */
static void end_of_interrupt(struct pic_chip_state_v1 *c, bool rotate)
{
	uint8_t served = c->special_mask ? c->isr & ~c->imr : c->isr;
	unsigned priority = priority_of(c, served);
	unsigned input = input_at(c, priority);

	if (priority == PRIORITY_NONE) {
		return;
	}
	c->isr &= ~BIT(input);
	if (rotate) {
		c->lowest = input;
	}
}

static void write_ocw2(struct pic_chip_state_v1 *c, uint8_t value)
{
	unsigned level = field_get(OCW2_LEVEL, value);

	switch (field_get(OCW2_COMMAND, value)) {
	case ROTATE_ON_AUTO_EOI_CLEAR:
		c->rotate_on_auto_eoi = false;
		break;
	case EOI:
		end_of_interrupt(c, false);
		break;
	case NO_OPERATION:
		break;
	case SPECIFIC_EOI:
		c->isr &= ~BIT(level);
		break;
	case ROTATE_ON_AUTO_EOI_SET:
		c->rotate_on_auto_eoi = true;
		break;
	case ROTATE_EOI:
		end_of_interrupt(c, true);
		break;
	case ROTATE_SPECIFIC_EOI:
		c->isr &= ~BIT(level);
		c->lowest = level;
		break;
	case SET_PRIORITY:
		c->lowest = level;
		break;
	}
}

static void write_ocw3(struct pic_chip_state_v1 *c, uint8_t value)
{
	c->poll = !!(value & OCW3_POLL);
	if (value & OCW3_READ) {
		c->read_isr = !!(value & OCW3_READ_ISR);
	}
	if (value & OCW3_SPECIAL_MASK_SET) {
		c->special_mask = !!(value & OCW3_SPECIAL_MASK);
	}
}

static void chip_write(struct pic_chip_state_v1 *c, unsigned offset, uint8_t value)
{
	if (offset == 1) {
		if (c->init_step) {
			write_icw(c, value);
		} else {
			c->imr = value;
		}
	} else if (value & ICW1_SELECT) {
		write_icw1(c, value);
	} else if (value & OCW3_SELECT) {
		write_ocw3(c, value);
	} else {
		write_ocw2(c, value);
	}
}

/* A poll is an acknowledge by a read (82C59A, "Poll Command"). */
static uint8_t chip_poll(struct pic *pic, unsigned chip)
{
	int input = chip_serve(pic, chip);

	pic->state.chips[chip].poll = false;
	update_output(pic);
	return input >= 0 ? 0x80 | input : 0;
}

static uint8_t chip_read(struct pic *pic, unsigned chip, unsigned offset)
{
	struct pic_chip_state_v1 *c = &pic->state.chips[chip];

	if (c->poll) {
		return chip_poll(pic, chip);
	}
	if (offset == 1) {
		return c->imr;
	}
	return c->read_isr ? c->isr : c->irr;
}

static struct pic *to_pic(struct device *device)
{
	return CONTAINER_OF(device, struct pic, device);
}

/* Master, slave, both edge/level registers: two ports each. */
static uint8_t pic_read(struct device *device, unsigned offset)
{
	struct pic *pic = to_pic(device);

	if (offset >= OFFSET_ELCR) {
		return pic->state.chips[offset - OFFSET_ELCR].elcr;
	}
	return chip_read(pic, offset / 2, offset % 2);
}

static void write_elcr(struct pic_chip_state_v1 *c, uint8_t value)
{
	c->elcr = value;
	c->irr |= c->lines & c->elcr;
}

static void pic_write(struct device *device, unsigned offset, uint8_t value)
{
	struct pic *pic = to_pic(device);

	if (offset >= OFFSET_ELCR) {
		offset -= OFFSET_ELCR;
		write_elcr(&pic->state.chips[offset], value & elcr_writable[offset]);
	} else {
		chip_write(&pic->state.chips[offset / 2], offset % 2, value);
	}
	update_output(pic);
}

static void pic_reset(struct device *device)
{
	struct pic_state_v1 *s = &to_pic(device)->state;

	/* Undefined until ICW1; masked, as firmware would leave it. */
	*s = (struct pic_state_v1){
		.chips = {{.imr = 0xff, .lowest = 7}, {.imr = 0xff, .lowest = 7}},
	};
	update_output(to_pic(device));
}

static int chip_validate(const struct pic_chip_state_v1 *c, uint8_t elcr_mask)
{
	if ((c->elcr & ~elcr_mask) || (c->irr & ~c->lines) || (c->base & ~ICW2_BASE) ||
	    c->lowest > 7 || c->init_step == 1 || c->init_step > 4) {
		return -EINVAL;
	}
	if (c->icw4_needed > 1 || c->single > 1 || c->auto_eoi > 1 || c->rotate_on_auto_eoi > 1 ||
	    c->special_mask > 1 || c->special_nested > 1 || c->read_isr > 1 || c->poll > 1) {
		return -EINVAL;
	}
	return 0;
}

static int pic_validate(const void *state)
{
	const struct pic_state_v1 *s = state;

	for (unsigned i = 0; i < 2; i++) {
		if (chip_validate(&s->chips[i], elcr_writable[i]) != 0) {
			return -EINVAL;
		}
	}
	/* The cascade is a wire: both its ends show the same. */
	if (!!(s->chips[MASTER].lines & BIT(CASCADE)) != (chip_request(&s->chips[SLAVE]) >= 0)) {
		return -EINVAL;
	}
	return 0;
}

static const struct port_region pic_ports[] = {
	{MACHINE_PORT_PIC_MASTER, 2},
	{MACHINE_PORT_PIC_SLAVE, 2},
	{MACHINE_PORT_ELCR, 2},
};

const struct device_ops pic_ops = {
	.name = "pic",
	DEVICE_STATE(struct pic, 1),
	.ports = pic_ports,
	.port_count = ARRAY_SIZE(pic_ports),
	.read = pic_read,
	.write = pic_write,
	.reset = pic_reset,
	.validate = pic_validate,
};
