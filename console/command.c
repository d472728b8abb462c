/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking up, checking and running commands. Pure but for console_print.
 */
#include "console/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define COMMAND_MAX 64
#define NAME_MAX_LENGTH 32
#define USAGE_COLUMN 28

static const struct command *commands[COMMAND_MAX];
static unsigned command_count;

const struct command *command_find(const char *name)
{
	for (unsigned i = 0; i < command_count; i++) {
		if (strcmp(commands[i]->name, name) == 0) {
			return commands[i];
		}
	}
	return NULL;
}

void command_add(const struct command *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		CHECK(command_count < COMMAND_MAX && !command_find(table[i].name));
		CHECK(table[i].args_max < COMMAND_ARGS_MAX);
		CHECK(strlen(table[i].name) < NAME_MAX_LENGTH);
		commands[command_count++] = &table[i];
	}
}

/* ---- What was meant ----------------------------------------------------- */

/*
 * Letters to add, drop, change or swap with their neighbour to make b of a
 * (optimal string alignment); large when a is longer than any name.
 */
static unsigned edit_distance(const char *a, const char *b)
{
	/* rows[i % 3][j]: the first i letters of a against the first j of b. */
	unsigned rows[3][NAME_MAX_LENGTH + 1];
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > NAME_MAX_LENGTH || b_length > NAME_MAX_LENGTH) {
		return NAME_MAX_LENGTH;
	}
	for (size_t i = 0; i <= a_length; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		for (size_t j = 0; j <= b_length; j++) {
			if (i == 0 || j == 0) {
				row[j] = (unsigned)(i + j);
				continue;
			}
			unsigned changed = above[j - 1] + (a[i - 1] != b[j - 1]);

			row[j] = MIN(changed, MIN(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
				row[j] = MIN(row[j], above2[j - 2] + 1);
			}
		}
	}
	return rows[a_length % 3][b_length];
}

/* The nearest name: one that begins so, else one that is at most two slips away. */
static const char *suggestion(const char *name)
{
	const char *best = NULL;
	unsigned best_distance = 3;

	for (unsigned i = 0; i < command_count; i++) {
		const char *candidate = commands[i]->name;
		unsigned distance = edit_distance(name, candidate);

		if (strncmp(candidate, name, strlen(name)) == 0) {
			return candidate;
		}
		/* Two slips in three letters are another word. */
		if (distance < best_distance && 2 * distance < strlen(candidate)) {
			best = candidate;
			best_distance = distance;
		}
	}
	return best;
}

static void print_unknown(const char *name)
{
	const char *meant = suggestion(name);
	const char *cut = strlen(name) > NAME_MAX_LENGTH ? "..." : "";

	console_print("unknown command \"%.*s%s\"; ", NAME_MAX_LENGTH, name, cut);
	if (meant) {
		console_print("did you mean \"%s\"? ", meant);
	}
	console_print("`help` lists all\n");
}

static void print_usage(const struct command *command)
{
	console_print("usage: %s%s%s\n", command->name, command->usage[0] ? " " : "",
		      command->usage);
}

static void print_wrong_count(const struct command *command, int given)
{
	int min = command->args_min, max = command->args_max;
	int wanted = given < min ? min : max;

	if (max == 0) {
		console_print("%s takes no arguments\n", command->name);
	} else {
		console_print("%s takes %s%d argument%s, not %d; ", command->name,
			      min == max    ? ""
			      : given < min ? "at least "
					    : "at most ",
			      wanted, wanted == 1 ? "" : "s", given);
		print_usage(command);
	}
}

/* ---- Running ------------------------------------------------------------ */

/* Cuts text into words; the first `max` of them go to argv. Returns how many there are. */
static int split(char *text, char **argv, int max)
{
	int count = 0;

	while (*text) {
		while (*text == ' ') {
			*text++ = '\0';
		}
		if (*text) {
			if (count < max) {
				argv[count] = text;
			}
			count++;
		}
		while (*text && *text != ' ') {
			text++;
		}
	}
	return count;
}

int command_run(char *text)
{
	char *argv[COMMAND_ARGS_MAX + 1] = {0};
	int argc = split(text, argv, COMMAND_ARGS_MAX);

	if (argc == 0) {
		return 0;
	}
	const struct command *command = command_find(argv[0]);
	if (!command) {
		print_unknown(argv[0]);
		return -EINVAL;
	}
	if (argc - 1 < command->args_min || argc - 1 > command->args_max) {
		print_wrong_count(command, argc - 1);
		return -EINVAL;
	}
	return command->run(argc, argv);
}

/* ---- Completion and help ------------------------------------------------ */

static const char *complete_name(int argument, unsigned index)
{
	(void)argument;
	return index < command_count ? commands[index]->name : NULL;
}

const char *command_complete(const char *text, unsigned word, unsigned index)
{
	char name[NAME_MAX_LENGTH] = "";

	if (word == 0) {
		return complete_name(0, index);
	}
	text += strspn(text, " ");
	size_t length = strcspn(text, " ");
	if (length >= sizeof(name)) {
		return NULL;
	}
	memcpy(name, text, length);

	const struct command *command = command_find(name);
	if (!command || !command->complete || word > (unsigned)command->args_max) {
		return NULL;
	}
	return command->complete((int)word, index);
}

static int run_help(int argc, char **argv)
{
	if (argc > 1) {
		const struct command *command = command_find(argv[1]);

		if (!command) {
			print_unknown(argv[1]);
			return -EINVAL;
		}
		console_print("%s\n", command->help);
		print_usage(command);
		return 0;
	}
	for (unsigned i = 0; i < command_count; i++) {
		char usage[80];

		snprintf(usage, sizeof(usage), "%s %s", commands[i]->name, commands[i]->usage);
		console_print("%-*s %s\n", USAGE_COLUMN, usage, commands[i]->help);
	}
	return 0;
}

const struct command command_help_table[1] = {
	{.name = "help",
	 .usage = "[COMMAND]",
	 .help = "Lists the commands, or explains one.",
	 .args_max = 1,
	 .run = run_help,
	 .complete = complete_name},
};
