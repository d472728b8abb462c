/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of dyad.conf. One pass over the text, one line at a time; the two
 * tables of keys below are what it knows.
 *
 * It is linked into the loader as well, which has no C library: of that it
 * needs memchr, memcmp, memcpy, memset and strlen.
 */
#include "base/config.h"

#include <stdarg.h>
#include <string.h>

/* A piece of the text; there is no zero at its end. */
struct slice {
	const char *start;
	size_t length;
};

enum section { SECTION_NONE, SECTION_HOST, SECTION_GUEST, SECTION_IGNORED };

struct parser {
	struct config *config;
	config_report_fn *report;
	void *context;
	unsigned mistake_count;
	unsigned line;
	enum section section;
	struct config_guest *guest; /* in SECTION_GUEST */
	unsigned seen; /* bit n: key n of the section's table was given */
	bool host_seen;
};

struct key {
	const char *name;
	/* Puts `value` into `field`; NULL, or what is wrong with the value. */
	const char *(*set)(const struct key *key, struct slice value, void *field);
	size_t offset, size; /* of the field */
	const char *allowed; /* for the message; of set_word: the words, in the order of the enum */
	const char *punctuation; /* of set_string: allowed beside letters and digits */
	bool repeatable;
	bool is_needed; /* a guest cannot do without */
};

/* ---- Slices --------------------------------------------------------------- */

/* Takes what is before the separator, or all, off *text; the separator goes. */
static struct slice slice_take(struct slice *text, char separator)
{
	const char *end = memchr(text->start, separator, text->length);
	struct slice taken = *text;

	if (end == NULL) {
		text->length = 0;
		return taken;
	}
	taken.length = (size_t)(end - text->start);
	*text = (struct slice){end + 1, text->length - taken.length - 1};
	return taken;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct slice slice_trim(struct slice slice)
{
	while (slice.length > 0 && is_blank(slice.start[0])) {
		slice.start++;
		slice.length--;
	}
	while (slice.length > 0 && is_blank(slice.start[slice.length - 1])) {
		slice.length--;
	}
	return slice;
}

static bool slice_equals(struct slice slice, const char *word)
{
	return slice.length == strlen(word) && memcmp(slice.start, word, slice.length) == 0;
}

/* ---- Values ------------------------------------------------------------- */

#define NAME_PUNCTUATION "-_"
/* Both separators: folders below \dyad\ are written either way. */
#define FILE_PUNCTUATION "-_.+/\\"

/* Text is what can be printed; set_string allows less. */
static const char *set_text(const struct key *key, struct slice value, void *field)
{
	char *string = field;

	if (value.length >= key->size) {
		return "is too long";
	}
	for (size_t i = 0; i < value.length; i++) {
		char c = value.start[i] == '\t' ? ' ' : value.start[i];

		if (c < ' ' || c > '~') {
			string[0] = '\0';
			return "has other characters";
		}
		string[i] = c;
	}
	string[value.length] = '\0';
	return NULL;
}

/* A name, or a file below \dyad\. */
static const char *set_string(const struct key *key, struct slice value, void *field)
{
	if (value.length == 0) {
		return "is empty";
	}
	for (size_t i = 0; i < value.length; i++) {
		char c = value.start[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) &&
		    memchr(key->punctuation, c, strlen(key->punctuation)) == NULL) {
			return "has other characters";
		}
		if (c == '.' && i + 1 < value.length && value.start[i + 1] == '.') {
			return "leaves \\dyad\\";
		}
	}
	return set_text(key, value, field);
}

/* The file is checked as such, the arguments behind it as text. */
static const char *set_module(const struct key *key, struct slice value, void *field)
{
	const struct key module_key = {.size = CONFIG_FILE_MAX, .punctuation = FILE_PUNCTUATION};
	struct config_guest *guest = field;
	struct slice file = {value.start, 0};
	const char *wrong;
	char *module;

	_Static_assert(CONFIG_MODULE_MAX == 4 && CONFIG_FILE_MAX == 64, "key->allowed says so");
	(void)key;
	if (guest->module_count == CONFIG_MODULE_MAX) {
		return "is one too many";
	}
	module = guest->modules[guest->module_count];
	while (file.length < value.length && value.start[file.length] != ' ' &&
	       value.start[file.length] != '\t') {
		file.length++;
	}
	wrong = set_string(&module_key, file, module);
	if (wrong == NULL) {
		wrong = set_text(&module_key, value, module);
	}
	if (wrong != NULL) {
		module[0] = '\0';
		return wrong;
	}
	guest->module_count++;
	return NULL;
}

/* Decimal digits at the head of *value, which is moved behind them. */
static bool take_number(struct slice *value, uint64_t max, uint64_t *number)
{
	const char *start = value->start;

	*number = 0;
	while (value->length > 0 && value->start[0] >= '0' && value->start[0] <= '9') {
		*number = *number * 10 + (uint64_t)(value->start[0] - '0');
		if (*number > max) {
			return false;
		}
		value->start++;
		value->length--;
	}
	return value->start != start;
}

static const char *set_memory(const struct key *key, struct slice value, void *field)
{
	uint64_t number;

	(void)key;
	if (!take_number(&value, MIB, &number)) {
		return "is no size";
	}
	if (!slice_equals(value, "M") && !slice_equals(value, "G")) {
		return "is no size with M or G";
	}
	number *= value.start[0] == 'M' ? MIB : GIB;
	if (number < 2 * MIB || number > 1024 * GIB) {
		return "is out of range";
	}
	if (number % (2 * MIB) != 0) {
		return "is no multiple of 2M";
	}
	memcpy(field, &number, sizeof(number));
	return NULL;
}

static const char *set_seconds(const struct key *key, struct slice value, void *field)
{
	unsigned *seconds = field;
	uint64_t number;

	(void)key;
	if (!take_number(&value, 3600, &number) || value.length > 0) {
		return "is no such number";
	}
	*seconds = (unsigned)number;
	return NULL;
}

/* The place of a word among those that are allowed. */
static const char *set_word(const struct key *key, struct slice value, void *field)
{
	struct slice rest = {key->allowed, strlen(key->allowed)};

	for (unsigned i = 0; rest.length > 0; i++) {
		struct slice word = slice_trim(slice_take(&rest, ','));

		if (value.length == word.length &&
		    memcmp(value.start, word.start, word.length) == 0) {
			memcpy(field, &i, sizeof(i));
			return NULL;
		}
	}
	return "is unknown";
}

static const char *set_start(const struct key *key, struct slice value, void *field)
{
	bool *start = field;
	unsigned word = 0;
	const char *wrong = set_word(key, value, &word);

	*start = word == 0;
	return wrong;
}

/* ---- Keys ----------------------------------------------------------------- */

#define ALLOWED_NAME "up to 31 letters, digits, - and _"
#define ALLOWED_FILE "a file below \\dyad\\, up to 63 letters, digits, and . - _ + / \\"
#define ALLOWED_ACTION "stop, restart"

_Static_assert(CPU_POLICY_HOST == 0 && CPU_POLICY_X86_64_V3 == 2, "the order of its words");
_Static_assert(ACTION_STOP == 0 && ACTION_RESTART == 1, "the order of ALLOWED_ACTION");
_Static_assert(sizeof(enum config_cpu) == sizeof(unsigned), "set_word writes an unsigned");
_Static_assert(sizeof(enum config_action) == sizeof(unsigned), "set_word writes an unsigned");

#define FIELD(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define HOST(member) FIELD(struct config, member)
#define GUEST(member) FIELD(struct config_guest, member)

static const struct key host_keys[] = {
	{"name", set_string, HOST(host_name), ALLOWED_NAME, .punctuation = NAME_PUNCTUATION},
	{"panic-reboot-s", set_seconds, HOST(panic_reboot_s), .allowed = "0 to 3600 seconds"},
	{.name = NULL},
};

static const struct key guest_keys[] = {
	{"kernel", set_string, GUEST(kernel), ALLOWED_FILE, FILE_PUNCTUATION, .is_needed = true},
	{"initrd", set_string, GUEST(initrd), ALLOWED_FILE, .punctuation = FILE_PUNCTUATION},
	{"cmdline", set_text, GUEST(cmdline), .allowed = "up to 1023 printable characters"},
	{"module", set_module, 0, 0, "FILE or FILE ARGUMENTS, up to 63 characters, at most 4 times",
	 .repeatable = true},
	{"memory", set_memory, GUEST(memory),
	 .allowed = "a multiple of 2M from 2M to 1024G, for example 256M or 1G", .is_needed = true},
	{"cpu", set_word, GUEST(cpu), .allowed = "host, x86-64-v2, x86-64-v3"},
	{"start", set_start, GUEST(start), .allowed = "auto, manual"},
	{"on-poweroff", set_word, GUEST(on_poweroff), .allowed = ALLOWED_ACTION},
	{"on-reboot", set_word, GUEST(on_reboot), .allowed = ALLOWED_ACTION},
	{"on-crash", set_word, GUEST(on_crash), .allowed = ALLOWED_ACTION},
	{.name = NULL},
};

static const struct key *keys_of(const struct parser *parser)
{
	return parser->section == SECTION_HOST ? host_keys : guest_keys;
}

/* ---- Mistakes ------------------------------------------------------------- */

/* A sentence that is put together piece by piece; what is too long is cut. */
struct sentence {
	size_t length;
	char text[320];
};

#define QUOTE_MAX 40 /* characters of the user's text in a message */

static void add_slice(struct sentence *sentence, struct slice slice)
{
	for (size_t i = 0; i < slice.length && sentence->length + 1 < sizeof(sentence->text); i++) {
		/* Foreign bytes must not reach a terminal. */
		sentence->text[sentence->length++] =
			slice.start[i] >= ' ' && slice.start[i] <= '~' ? slice.start[i] : '?';
	}
}

static void add_text(struct sentence *sentence, const char *text)
{
	add_slice(sentence, (struct slice){text, strlen(text)});
}

static void add_quoted(struct sentence *sentence, struct slice slice)
{
	add_text(sentence, "\"");
	add_slice(sentence, (struct slice){slice.start, MIN(slice.length, (size_t)QUOTE_MAX)});
	add_text(sentence, slice.length > QUOTE_MAX ? "...\"" : "\"");
}

static void add_title(struct sentence *sentence, const struct parser *parser)
{
	add_text(sentence, parser->section == SECTION_HOST ? "[host" : "[guest ");
	add_text(sentence, parser->section == SECTION_HOST ? "" : parser->guest->name);
	add_text(sentence, "]");
}

static void add_keys(struct sentence *sentence, const struct key *keys)
{
	for (const struct key *key = keys; key->name != NULL; key++) {
		add_text(sentence, key == keys ? "" : ", ");
		add_text(sentence, key->name);
	}
}

/* %s: a string; %q: a slice in quotes; %t: the section's title; %k: its keys. */
static void mistake(struct parser *parser, unsigned line, const char *format, ...)
{
	struct sentence sentence = {0};
	va_list arguments;

	va_start(arguments, format);
	for (const char *at = format; *at != '\0'; at++) {
		if (*at != '%') {
			add_slice(&sentence, (struct slice){at, 1});
			continue;
		}
		switch (*++at) {
		case 's':
			add_text(&sentence, va_arg(arguments, const char *));
			break;
		case 'q':
			add_quoted(&sentence, va_arg(arguments, struct slice));
			break;
		case 't':
			add_title(&sentence, parser);
			break;
		default: /* k */
			add_keys(&sentence, keys_of(parser));
			break;
		}
	}
	va_end(arguments);
	/* The struct was zeroed, and its last byte is never written. */
	parser->report(parser->context, line, sentence.text);
	parser->mistake_count++;
	if (parser->section == SECTION_GUEST) {
		parser->guest->valid = false;
	}
}

/* ---- Sections ------------------------------------------------------------- */

static void parse_host(struct parser *parser)
{
	if (parser->host_seen) {
		mistake(parser, parser->line, "a second section [host]; allowed: one");
		return;
	}
	parser->host_seen = true;
	parser->section = SECTION_HOST;
}

/* A section that gives no guest is reported and passed over with all its keys. */
static void parse_guest(struct parser *parser, struct slice name)
{
	const struct key name_key = {.size = CONFIG_NAME_MAX, .punctuation = NAME_PUNCTUATION};
	struct config *config = parser->config;
	struct config_guest *guest;

	for (unsigned i = 0; i < config->guest_count; i++) {
		if (slice_equals(name, config->guests[i].name)) {
			mistake(parser, parser->line,
				"a second guest %q; allowed: one section for each name", name);
			return;
		}
	}
	if (config->guest_count == CONFIG_GUEST_MAX) {
		_Static_assert(CONFIG_GUEST_MAX == 16, "the sentence says so");
		mistake(parser, parser->line, "too many guests; allowed: 16 sections [guest NAME]");
		return;
	}
	guest = &config->guests[config->guest_count];
	if (set_string(&name_key, name, guest->name) != NULL) {
		mistake(parser, parser->line, "%q is no name for a guest; allowed: " ALLOWED_NAME,
			name);
		return;
	}
	config->guest_count++;
	guest->line = parser->line;
	guest->valid = true;
	guest->start = true;
	guest->on_reboot = ACTION_RESTART;
	parser->guest = guest;
	parser->section = SECTION_GUEST;
}

static void parse_section(struct parser *parser, struct slice header)
{
	struct slice inner = {header.start + 1, header.length - 1};

	parser->section = SECTION_IGNORED;
	parser->seen = 0;
	if (inner.length > 0 && inner.start[inner.length - 1] == ']') {
		inner.length--;
		inner = slice_trim(inner);
		if (slice_equals(inner, "host")) {
			parse_host(parser);
			return;
		}
		if (inner.length >= 6 && memcmp(inner.start, "guest", 5) == 0 &&
		    (inner.start[5] == ' ' || inner.start[5] == '\t')) {
			inner = (struct slice){inner.start + 6, inner.length - 6};
			parse_guest(parser, slice_trim(inner));
			return;
		}
	}
	mistake(parser, parser->line, "unknown section %q; allowed: [host], [guest NAME]", header);
}

static void section_end(struct parser *parser)
{
	if (parser->section != SECTION_GUEST) {
		return;
	}
	for (const struct key *key = guest_keys; key->name != NULL; key++) {
		if (key->is_needed && (parser->seen & 1u << (key - guest_keys)) == 0) {
			mistake(parser, parser->guest->line, "%t has no %s; allowed: %s", key->name,
				key->allowed);
		}
	}
}

/* ---- Lines ---------------------------------------------------------------- */

static void parse_value(struct parser *parser, const struct key *key, struct slice value)
{
	unsigned bit = 1u << (key - keys_of(parser));
	char *fields =
		parser->section == SECTION_HOST ? (char *)parser->config : (char *)parser->guest;
	const char *wrong = "is given a second time";

	if ((parser->seen & bit) == 0 || key->repeatable) {
		wrong = key->set(key, value, fields + key->offset);
	}
	parser->seen |= bit;
	if (wrong != NULL) {
		mistake(parser, parser->line, "%s = %q in %t %s; allowed: %s", key->name, value,
			wrong, key->allowed);
	}
}

static void parse_key(struct parser *parser, struct slice line)
{
	const char *equals = memchr(line.start, '=', line.length);
	struct slice name = line, value;

	if (parser->section == SECTION_NONE) {
		mistake(parser, parser->line,
			"%q stands before the first section; allowed: [host], [guest NAME], "
			"lines of comment with #",
			line);
		return;
	}
	if (equals == NULL) {
		mistake(parser, parser->line,
			"%q is no setting; allowed: KEY = VALUE, [SECTION], # COMMENT", line);
		return;
	}
	name.length = (size_t)(equals - line.start);
	name = slice_trim(name);
	value.start = equals + 1;
	value.length = (size_t)(line.start + line.length - value.start);
	for (const struct key *key = keys_of(parser); key->name != NULL; key++) {
		if (slice_equals(name, key->name)) {
			parse_value(parser, key, slice_trim(value));
			return;
		}
	}
	mistake(parser, parser->line, "unknown key %q in %t; allowed: %k", name);
}

static void parse_line(struct parser *parser, struct slice line)
{
	if (line.length == 0 || line.start[0] == '#' || line.start[0] == ';') {
		return;
	}
	if (line.start[0] == '[') {
		section_end(parser);
		parse_section(parser, line);
	} else if (parser->section != SECTION_IGNORED) {
		parse_key(parser, line);
	}
}

unsigned config_parse(const char *text, size_t size, struct config *config,
		      config_report_fn *report, void *context)
{
	struct parser parser = {.config = config, .report = report, .context = context};
	struct slice rest = {text, size};

	memset(config, 0, sizeof(*config));
	memcpy(config->host_name, "dyad", sizeof("dyad"));
	config->panic_reboot_s = 10;

	/* Editors on Windows start a text with a byte order mark. */
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		rest = (struct slice){text + 3, size - 3};
	}
	while (rest.length > 0) {
		parser.line++;
		parse_line(&parser, slice_trim(slice_take(&rest, '\n')));
	}
	section_end(&parser);
	return parser.mistake_count;
}
