/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of the console: one list made of the tables that the layers
 * keep, looked up by name, with the sentences for what was not understood.
 */
#ifndef CONSOLE_COMMAND_H
#define CONSOLE_COMMAND_H

#include "base/command.h"

/* `table` must stay valid. A name that is there already is our own bug. */
void command_add(const struct command *table, size_t count);

/* NULL when there is none of that name. */
const struct command *command_find(const char *name);

/*
 * Runs the command in a line of words between spaces; the line is cut up for
 * it. Returns what the command returned, 0 for an empty line, -EINVAL after
 * saying what was not understood.
 */
int command_run(char *text);

/* Candidates for word `word` of `text`, as struct line_host asks for them. */
const char *command_complete(const char *text, unsigned word, unsigned index);

/* The table with `help`, which knows the list. */
extern const struct command command_help_table[1];

#endif
