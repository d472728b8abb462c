/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of dyad.conf. One pass over the text, one line at a time; the two
 * tables of keys below are what it knows.
 *
 * It is linked into the loader as well, which has no C library: of that it
 * needs memchr, memcmp, memcpy, memset and strlen.
 */
#include "vmm/config.h"

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
	const char *allowed; /* for the message */
	const char *const *words; /* of set_word, in the order of the enum */
	bool repeatable;
};

/* A sentence that is put together piece by piece; what is too long is cut. */
struct sentence {
	size_t length;
	char text[320];
};

#define QUOTE_MAX 40 /* characters of the user's text in a message */

static const char *set_name(const struct key *key, struct slice value, void *field);
static const char *set_text(const struct key *key, struct slice value, void *field);
static const char *set_file(const struct key *key, struct slice value, void *field);
static const char *set_module(const struct key *key, struct slice value, void *field);
static const char *set_memory(const struct key *key, struct slice value, void *field);
static const char *set_seconds(const struct key *key, struct slice value, void *field);
static const char *set_word(const struct key *key, struct slice value, void *field);
static const char *set_start(const struct key *key, struct slice value, void *field);

#define ALLOWED_NAME "up to 31 letters, digits, - and _"
#define ALLOWED_FILE "a file below \\dyad\\, up to 63 letters, digits, and . - _ + / \\"

static const char *const cpu_words[] = {"host", "x86-64-v2", "x86-64-v3", NULL};
static const char *const start_words[] = {"manual", "auto", NULL};
static const char *const action_words[] = {"stop", "restart", NULL};

_Static_assert(CPU_POLICY_HOST == 0 && CPU_POLICY_X86_64_V3 == 2, "the order of cpu_words");
_Static_assert(ACTION_STOP == 0 && ACTION_RESTART == 1, "the order of action_words");
_Static_assert(sizeof(enum config_cpu) == sizeof(unsigned), "set_word writes an unsigned");
_Static_assert(sizeof(enum config_action) == sizeof(unsigned), "set_word writes an unsigned");

#define FIELD(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define HOST(member) FIELD(struct config, member)
#define GUEST(member) FIELD(struct config_guest, member)

static const struct key host_keys[] = {
	{"name", set_name, HOST(host_name), .allowed = ALLOWED_NAME},
	{"panic-reboot-s", set_seconds, HOST(panic_reboot_s), .allowed = "0 to 3600 seconds"},
	{.name = NULL},
};

static const struct key guest_keys[] = {
	{"kernel", set_file, GUEST(kernel), .allowed = ALLOWED_FILE},
	{"initrd", set_file, GUEST(initrd), .allowed = ALLOWED_FILE},
	{"cmdline", set_text, GUEST(cmdline), .allowed = "up to 1023 printable characters"},
	{"module", set_module, 0, 0, "FILE or FILE ARGUMENTS, up to 63 characters, at most 4 times",
	 .repeatable = true},
	{"memory", set_memory, GUEST(memory),
	 .allowed = "a multiple of 2M from 2M to 1024G, for example 256M or 1G"},
	{"cpu", set_word, GUEST(cpu), "host, x86-64-v2, x86-64-v3", cpu_words},
	{"start", set_start, GUEST(start), "auto, manual", start_words},
	{"on-poweroff", set_word, GUEST(on_poweroff), "stop, restart", action_words},
	{"on-reboot", set_word, GUEST(on_reboot), "stop, restart", action_words},
	{"on-crash", set_word, GUEST(on_crash), "stop, restart", action_words},
	{.name = NULL},
};

static void parse_line(struct parser *parser, struct slice line);
static void parse_section(struct parser *parser, struct slice header);
static void parse_host(struct parser *parser);
static void parse_guest(struct parser *parser, struct slice name);
static void parse_key(struct parser *parser, struct slice line);
static void section_end(struct parser *parser);
static struct slice slice_line(struct slice *text);
static struct slice slice_trim(struct slice slice);
static bool slice_equals(struct slice slice, const char *word);
static void add_text(struct sentence *sentence, const char *text);
static void add_quoted(struct sentence *sentence, struct slice slice);
static void add_section(struct sentence *sentence, const struct parser *parser);
static void add_keys(struct sentence *sentence, const struct key *keys);
static void mistake(struct parser *parser, unsigned line, const struct sentence *sentence);

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
		parse_line(&parser, slice_trim(slice_line(&rest)));
	}
	section_end(&parser);
	return parser.mistake_count;
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

static void parse_section(struct parser *parser, struct slice header)
{
	struct sentence sentence = {0};
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
	add_text(&sentence, "unknown section ");
	add_quoted(&sentence, header);
	add_text(&sentence, "; allowed: [host], [guest NAME]");
	mistake(parser, parser->line, &sentence);
}

static void parse_host(struct parser *parser)
{
	struct sentence sentence = {0};

	if (parser->host_seen) {
		add_text(&sentence, "a second section [host]; allowed: one");
		mistake(parser, parser->line, &sentence);
		return;
	}
	parser->host_seen = true;
	parser->section = SECTION_HOST;
}

/* A section that gives no guest is reported and passed over with all its keys. */
static void parse_guest(struct parser *parser, struct slice name)
{
	struct config *config = parser->config;
	struct sentence sentence = {0};
	const struct key name_key = {.size = CONFIG_NAME_MAX};
	struct config_guest *guest;

	for (unsigned i = 0; i < config->guest_count; i++) {
		if (slice_equals(name, config->guests[i].name)) {
			add_text(&sentence, "a second guest ");
			add_quoted(&sentence, name);
			add_text(&sentence, "; allowed: one section for each name");
			mistake(parser, parser->line, &sentence);
			return;
		}
	}
	if (config->guest_count == CONFIG_GUEST_MAX) {
		_Static_assert(CONFIG_GUEST_MAX == 16, "the sentence says so");
		add_text(&sentence, "too many guests; allowed: 16 sections [guest NAME]");
		mistake(parser, parser->line, &sentence);
		return;
	}
	guest = &config->guests[config->guest_count];
	if (set_name(&name_key, name, guest->name) != NULL) {
		add_quoted(&sentence, name);
		add_text(&sentence, " is no name for a guest; allowed: " ALLOWED_NAME);
		mistake(parser, parser->line, &sentence);
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

static const struct key *key_find(const struct key *keys, struct slice name)
{
	for (; keys->name != NULL; keys++) {
		if (slice_equals(name, keys->name)) {
			return keys;
		}
	}
	return NULL;
}

static void parse_key(struct parser *parser, struct slice line)
{
	const struct key *keys = parser->section == SECTION_HOST ? host_keys : guest_keys;
	char *fields =
		parser->section == SECTION_HOST ? (char *)parser->config : (char *)parser->guest;
	const char *equals = memchr(line.start, '=', line.length);
	struct sentence sentence = {0};
	struct slice name, value;
	const struct key *key;
	const char *wrong;
	unsigned bit;

	if (parser->section == SECTION_NONE) {
		add_quoted(&sentence, line);
		add_text(&sentence, " stands before the first section");
		add_text(&sentence, "; allowed: [host], [guest NAME], lines of comment with #");
		mistake(parser, parser->line, &sentence);
		return;
	}
	if (equals == NULL) {
		add_quoted(&sentence, line);
		add_text(&sentence, " is no setting; allowed: KEY = VALUE, [SECTION], # COMMENT");
		mistake(parser, parser->line, &sentence);
		return;
	}
	name = slice_trim((struct slice){line.start, (size_t)(equals - line.start)});
	value = slice_trim(
		(struct slice){equals + 1, line.length - 1 - (size_t)(equals - line.start)});
	key = key_find(keys, name);
	if (key == NULL) {
		add_text(&sentence, "unknown key ");
		add_quoted(&sentence, name);
		add_text(&sentence, " in ");
		add_section(&sentence, parser);
		add_text(&sentence, "; allowed: ");
		add_keys(&sentence, keys);
		mistake(parser, parser->line, &sentence);
		return;
	}
	bit = 1u << (key - keys);
	if ((parser->seen & bit) != 0 && !key->repeatable) {
		wrong = "is given a second time";
	} else {
		wrong = key->set(key, value, fields + key->offset);
	}
	parser->seen |= bit;
	if (wrong != NULL) {
		add_text(&sentence, key->name);
		add_text(&sentence, " = ");
		add_quoted(&sentence, value);
		add_text(&sentence, " in ");
		add_section(&sentence, parser);
		add_text(&sentence, " ");
		add_text(&sentence, wrong);
		add_text(&sentence, "; allowed: ");
		add_text(&sentence, key->allowed);
		mistake(parser, parser->line, &sentence);
	}
}

/* What a guest cannot do without. */
static void section_end(struct parser *parser)
{
	static const char *const needed[] = {"kernel", "memory"};

	if (parser->section != SECTION_GUEST) {
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		struct slice name = {needed[i], strlen(needed[i])};
		const struct key *key = key_find(guest_keys, name);
		struct sentence sentence = {0};

		if ((parser->seen & 1u << (key - guest_keys)) == 0) {
			add_section(&sentence, parser);
			add_text(&sentence, " has no ");
			add_text(&sentence, key->name);
			add_text(&sentence, "; allowed: ");
			add_text(&sentence, key->allowed);
			mistake(parser, parser->guest->line, &sentence);
		}
	}
}

/* ---- Values ------------------------------------------------------------- */

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* '.' and both separators besides: folders below \dyad\ are written either way. */
static bool is_file_character(char c)
{
	return is_name_character(c) || c == '.' || c == '+' || c == '/' || c == '\\';
}

static bool is_text_character(char c)
{
	return (c >= ' ' && c <= '~') || c == '\t';
}

static const char *set_string(const struct key *key, struct slice value, void *field,
			      bool (*is_allowed)(char c), const char *wrong)
{
	char *string = field;

	if (value.length >= key->size) {
		return "is too long";
	}
	for (size_t i = 0; i < value.length; i++) {
		if (!is_allowed(value.start[i])) {
			return wrong;
		}
	}
	for (size_t i = 0; i < value.length; i++) {
		string[i] = value.start[i] == '\t' ? ' ' : value.start[i];
	}
	string[value.length] = '\0';
	return NULL;
}

static const char *set_name(const struct key *key, struct slice value, void *field)
{
	if (value.length == 0) {
		return "is empty";
	}
	return set_string(key, value, field, is_name_character, "has other characters");
}

static const char *set_text(const struct key *key, struct slice value, void *field)
{
	return set_string(key, value, field, is_text_character, "has other characters");
}

static const char *set_file(const struct key *key, struct slice value, void *field)
{
	if (value.length == 0) {
		return "is empty";
	}
	for (size_t i = 0; i + 1 < value.length; i++) {
		if (value.start[i] == '.' && value.start[i + 1] == '.') {
			return "leaves \\dyad\\";
		}
	}
	return set_string(key, value, field, is_file_character, "has other characters");
}

/* The file is checked as such, the arguments behind it as text. */
static const char *set_module(const struct key *key, struct slice value, void *field)
{
	const struct key module_key = {.size = sizeof(((struct config_guest *)0)->modules[0])};
	struct config_guest *guest = field;
	struct slice file = value;
	char *module;
	const char *wrong;

	_Static_assert(CONFIG_MODULE_MAX == 4 && CONFIG_FILE_MAX == 64, "key->allowed says so");
	(void)key;
	if (guest->module_count == CONFIG_MODULE_MAX) {
		return "is one too many";
	}
	module = guest->modules[guest->module_count];
	for (file.length = 0; file.length < value.length; file.length++) {
		if (value.start[file.length] == ' ' || value.start[file.length] == '\t') {
			break;
		}
	}
	wrong = set_file(&module_key, file, module);
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
	size_t length = 0;

	*number = 0;
	for (; length < value->length; length++) {
		char c = value->start[length];

		if (c < '0' || c > '9') {
			break;
		}
		*number = *number * 10 + (uint64_t)(c - '0');
		if (*number > max) {
			return false;
		}
	}
	value->start += length;
	value->length -= length;
	return length > 0;
}

static const char *set_memory(const struct key *key, struct slice value, void *field)
{
	uint64_t number, unit;

	(void)key;
	if (!take_number(&value, MIB, &number)) {
		return "is no size";
	}
	if (slice_equals(value, "M")) {
		unit = MIB;
	} else if (slice_equals(value, "G")) {
		unit = GIB;
	} else {
		return "is no size with M or G";
	}
	number *= unit;
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

static int word_find(const char *const *words, struct slice value)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (slice_equals(value, words[i])) {
			return i;
		}
	}
	return -1;
}

static const char *set_word(const struct key *key, struct slice value, void *field)
{
	int word = word_find(key->words, value);

	if (word < 0) {
		return "is unknown";
	}
	memcpy(field, &word, sizeof(word));
	return NULL;
}

static const char *set_start(const struct key *key, struct slice value, void *field)
{
	int word = word_find(key->words, value);
	bool *start = field;

	if (word < 0) {
		return "is unknown";
	}
	*start = word == 1;
	return NULL;
}

/* ---- Slices and sentences ------------------------------------------------ */

/* Takes the first line off *text, without its line feed. */
static struct slice slice_line(struct slice *text)
{
	const char *end = memchr(text->start, '\n', text->length);
	struct slice line = *text;

	if (end == NULL) {
		*text = (struct slice){text->start + text->length, 0};
		return line;
	}
	line.length = (size_t)(end - text->start);
	*text = (struct slice){end + 1, text->length - line.length - 1};
	return line;
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

static void add_slice(struct sentence *sentence, struct slice slice)
{
	for (size_t i = 0; i < slice.length; i++) {
		if (sentence->length + 1 == sizeof(sentence->text)) {
			return;
		}
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

static void add_section(struct sentence *sentence, const struct parser *parser)
{
	if (parser->section == SECTION_HOST) {
		add_text(sentence, "[host]");
		return;
	}
	add_text(sentence, "[guest ");
	add_text(sentence, parser->guest->name);
	add_text(sentence, "]");
}

static void add_keys(struct sentence *sentence, const struct key *keys)
{
	for (const struct key *key = keys; key->name != NULL; key++) {
		add_text(sentence, key == keys ? "" : ", ");
		add_text(sentence, key->name);
	}
}

static void mistake(struct parser *parser, unsigned line, const struct sentence *sentence)
{
	/* The struct was zeroed, and its last byte is never written. */
	parser->report(parser->context, line, sentence->text);
	parser->mistake_count++;
	if (parser->section == SECTION_GUEST) {
		parser->guest->valid = false;
	}
}
