/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of dyad.conf. One pass over the text, one line at a time; the tables
 * of keys and sections below are what it knows.
 *
 * Messages quote what the user wrote, but never the pair's key: not its value, no
 * line of [partner] that has no "=", and nowhere so many hexadecimal digits in a
 * row that they could be a piece of it.
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

struct parser {
	struct config *config;
	config_report_fn *report;
	void *context;
	unsigned mistake_count;
	unsigned line;
	const struct section *section; /* NULL: before the first */
	bool ignoring; /* the section was refused; its lines say nothing more */
	/* Of the section: its struct, the name in its title, what a mistake spoils. */
	void *fields;
	const char *name;
	bool *valid;
	unsigned section_line;
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
	bool is_needed; /* the section is a mistake without it */
	bool is_secret; /* no message quotes the value */
	unsigned min, max; /* of set_number */
};

struct section {
	const char *name;
	bool is_named; /* [name NAME] */
	bool is_secret; /* its lines are not quoted */
	const struct key *keys;
	/* Makes the struct ready to be filled; a mistake ignores the section. */
	void (*open)(struct parser *parser, struct slice name);
	void (*close)(struct parser *parser); /* NULL, or what to look at at its end */
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

/* A word of letters, digits and the key's punctuation. */
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
	}
	return set_text(key, value, field);
}

/* A file below \dyad\. */
static const char *set_file(const struct key *key, struct slice value, void *field)
{
	for (size_t i = 0; i + 1 < value.length; i++) {
		if (value.start[i] == '.' && value.start[i + 1] == '.') {
			return "leaves \\dyad\\";
		}
	}
	return set_string(key, value, field);
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

static const char *set_number(const struct key *key, struct slice value, void *field)
{
	unsigned *target = field;
	uint64_t number;

	if (!take_number(&value, key->max, &number) || value.length > 0 || number < key->min) {
		return "is no such number";
	}
	*target = (unsigned)number;
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

/* The value of a hexadecimal digit, or 16. */
static unsigned digit_of(char c)
{
	if (c >= '0' && c <= '9') {
		return (unsigned)(c - '0');
	}
	if (c >= 'a' && c <= 'f') {
		return (unsigned)(c - 'a') + 10;
	}
	return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10 : 16;
}

/* `count` bytes of two digits each, with `separator` between them when it is not 0. */
static const char *take_bytes(struct slice value, char separator, uint8_t *bytes, size_t count)
{
	size_t stride = separator == '\0' ? 2 : 3;

	if (value.length != count * stride - (stride - 2)) {
		return "has another length";
	}
	for (size_t i = 0; i < count; i++) {
		const char *at = value.start + i * stride;
		unsigned high = digit_of(at[0]), low = digit_of(at[1]);

		if (high > 15 || low > 15 || (stride == 3 && i > 0 && at[-1] != separator)) {
			return "has other characters";
		}
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return NULL;
}

static const char *set_mac(const struct key *key, struct slice value, void *field)
{
	static const uint8_t zero[6];
	struct config_interface *interface = field;
	const char *wrong = take_bytes(value, ':', interface->mac, sizeof(interface->mac));

	(void)key;
	if (wrong != NULL) {
		return wrong;
	}
	/* IEEE 802, 8.2: the lowest bit of the first byte marks a group. */
	if ((interface->mac[0] & 1) != 0 || memcmp(interface->mac, zero, sizeof(zero)) == 0) {
		return "is no card's address";
	}
	interface->has_mac = true;
	return NULL;
}

/* One more of a list: the field is its count, and the texts follow. */
static const char *set_address(const struct key *key, struct slice value, void *field)
{
	const struct key address_key = {.size = CONFIG_ADDRESS_MAX, .punctuation = ".:/%-_"};
	unsigned *count = field;
	char(*list)[CONFIG_ADDRESS_MAX] = (void *)(count + 1);
	const char *wrong;

	for (unsigned i = 0; i < *count; i++) {
		if (slice_equals(value, list[i])) {
			return "is given a second time";
		}
	}
	if (*count == key->size / CONFIG_ADDRESS_MAX) {
		return "is one too many";
	}
	wrong = set_string(&address_key, value, list[*count]);
	*count += wrong == NULL;
	return wrong;
}

static const char *set_serial(const struct key *key, struct slice value, void *field)
{
	bool *serial = field;

	(void)key;
	*serial = slice_equals(value, "com2");
	return *serial ? NULL : "is unknown";
}

static const char *set_pair_key(const struct key *key, struct slice value, void *field)
{
	struct config_partner *partner = field;
	const char *wrong = take_bytes(value, '\0', partner->key, sizeof(partner->key));
	size_t same = 0; /* digits that are as the first */

	(void)key;
	while (same < value.length && digit_of(value.start[same]) == digit_of(value.start[0])) {
		same++;
	}
	if (wrong == NULL && same == value.length) {
		wrong = "is the same digit throughout";
	}
	partner->has_key = wrong == NULL;
	if (wrong != NULL) {
		memset(partner->key, 0, sizeof(partner->key));
	}
	return wrong;
}

/* ---- Keys ----------------------------------------------------------------- */

#define ALLOWED_NAME "up to 31 letters, digits, - and _"
#define ALLOWED_FILE "a file below \\dyad\\, up to 63 letters, digits, and . - _ + / \\"
#define ALLOWED_ACTION "stop, restart"
#define ALLOWED_SECTIONS "[host], [interface NAME], [partner], [guest NAME]"

_Static_assert(CPU_POLICY_HOST == 0 && CPU_POLICY_X86_64_V3 == 2, "the order of its words");
_Static_assert(ACTION_STOP == 0 && ACTION_RESTART == 1, "the order of ALLOWED_ACTION");
_Static_assert(sizeof(enum config_cpu) == sizeof(unsigned), "set_word writes an unsigned");
_Static_assert(sizeof(enum config_action) == sizeof(unsigned), "set_word writes an unsigned");
_Static_assert(CONFIG_ADDRESS_COUNT == 4 && CONFIG_KEY_SIZE == 32, "the sentences below say so");

#define FIELD(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define HOST(member) FIELD(struct config, member)
#define INTERFACE(member) FIELD(struct config_interface, member)
#define PARTNER(member) FIELD(struct config_partner, member)
#define GUEST(member) FIELD(struct config_guest, member)
/* For set_address: the count is just before the list. */
#define LIST(type, count, list) \
	offsetof(type, list) - sizeof(((type *)0)->count), sizeof(((type *)0)->list)
#define LIST_FOLLOWS(type, count, list)                                                            \
	_Static_assert(offsetof(type, count) + sizeof(((type *)0)->count) == offsetof(type, list), \
		       "set_address finds the list behind its count")

LIST_FOLLOWS(struct config_interface, address_count, addresses);
LIST_FOLLOWS(struct config_interface, gateway_count, gateways);
LIST_FOLLOWS(struct config_partner, address_count, addresses);

static const struct key host_keys[] = {
	{"name", set_string, HOST(host_name), ALLOWED_NAME, .punctuation = NAME_PUNCTUATION},
	{"panic-reboot-s", set_number, HOST(panic_reboot_s), .allowed = "0 to 3600 seconds",
	 .max = 3600},
	{.name = NULL},
};

static const struct key interface_keys[] = {
	{"mac", set_mac, .allowed = "the address of one card, as 52:54:00:12:34:56"},
	{"address", set_address, LIST(struct config_interface, address_count, addresses),
	 "IPv4/prefix, IPv6/prefix or dhcp, at most 4 times, each once", .repeatable = true},
	{"gateway", set_address, LIST(struct config_interface, gateway_count, gateways),
	 "an IPv4 or IPv6 address, at most 2 times, each once", .repeatable = true},
	{"mtu", set_number, INTERFACE(mtu), "576 to 9000 bytes", .min = 576, .max = 9000},
	{.name = NULL},
};

static const struct key partner_keys[] = {
	{"address", set_address, LIST(struct config_partner, address_count, addresses),
	 "an IPv4 or IPv6 address, at most 4 times, each once", .repeatable = true},
	{"serial", set_serial, PARTNER(serial), .allowed = "com2"},
	{"key", set_pair_key, .allowed = "64 hexadecimal digits at random, the same on both hosts",
	 .is_needed = true, .is_secret = true},
	{.name = NULL},
};

static const struct key *const partner_address = &partner_keys[0];
static const struct key *const partner_serial = &partner_keys[1];

static const struct key guest_keys[] = {
	{"kernel", set_file, GUEST(kernel), ALLOWED_FILE, FILE_PUNCTUATION, .is_needed = true},
	{"initrd", set_file, GUEST(initrd), ALLOWED_FILE, .punctuation = FILE_PUNCTUATION},
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

/* ---- Mistakes ------------------------------------------------------------- */

/* A sentence that is put together piece by piece; what is too long is cut. */
struct sentence {
	size_t length;
	char text[320];
};

#define QUOTE_MAX 40 /* characters of the user's text in a message */
#define SECRET_MIN 16 /* hexadecimal digits in a row: never quoted */

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

/* How many hexadecimal digits the slice begins with. */
static size_t digit_count(struct slice slice)
{
	size_t count = 0;

	while (count < slice.length && digit_of(slice.start[count]) < 16) {
		count++;
	}
	return count;
}

/* Up to what could be a piece of the key, or is too long. */
static void add_quoted(struct sentence *sentence, struct slice slice)
{
	size_t shown = 0;

	while (shown < MIN(slice.length, (size_t)QUOTE_MAX) &&
	       digit_count((struct slice){slice.start + shown, slice.length - shown}) <
		       SECRET_MIN) {
		shown++;
	}
	add_text(sentence, "\"");
	add_slice(sentence, (struct slice){slice.start, shown});
	add_text(sentence, shown < slice.length ? "...\"" : "\"");
}

static void add_title(struct sentence *sentence, const struct parser *parser)
{
	add_text(sentence, "[");
	add_text(sentence, parser->section->name);
	add_text(sentence, parser->section->is_named ? " " : "");
	add_text(sentence, parser->name);
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
			add_keys(&sentence, parser->section->keys);
			break;
		}
	}
	va_end(arguments);
	/* The struct was zeroed, and its last byte is never written. */
	parser->report(parser->context, line, sentence.text);
	parser->mistake_count++;
	if (parser->valid != NULL) {
		*parser->valid = false;
	}
}

/* ---- Sections ------------------------------------------------------------- */

static void ignore_section(struct parser *parser, const char *format, struct slice quoted)
{
	mistake(parser, parser->line, format, quoted);
	parser->ignoring = true;
}

static void open_host(struct parser *parser, struct slice name)
{
	if (parser->host_seen) {
		ignore_section(parser, "a second section [host]; allowed: one", name);
		return;
	}
	parser->host_seen = true;
	parser->fields = parser->config;
}

static void open_partner(struct parser *parser, struct slice name)
{
	struct config_partner *partner = &parser->config->partner;

	if (partner->line != 0) {
		ignore_section(parser, "a second section [partner]; allowed: one", name);
		return;
	}
	partner->line = parser->line;
	partner->valid = true;
	parser->fields = partner;
	parser->valid = &partner->valid;
}

/* `known` is the name of an element that is there already. */
static bool is_second(struct parser *parser, struct slice name, const char *known)
{
	if (slice_equals(name, known)) {
		ignore_section(parser, "a second section named %q; allowed: one for each name",
			       name);
	}
	return parser->ignoring;
}

/* Sets the name of a new element. */
static bool set_name(struct parser *parser, struct slice name, char *target)
{
	const struct key name_key = {.size = CONFIG_NAME_MAX, .punctuation = NAME_PUNCTUATION};

	if (set_string(&name_key, name, target) != NULL) {
		ignore_section(parser, "%q is no name for a section; allowed: " ALLOWED_NAME, name);
	}
	parser->name = target;
	return !parser->ignoring;
}

static void open_interface(struct parser *parser, struct slice name)
{
	struct config *config = parser->config;
	struct config_interface *interface;

	for (unsigned i = 0; i < config->interface_count; i++) {
		if (is_second(parser, name, config->interfaces[i].name)) {
			return;
		}
	}
	if (config->interface_count == CONFIG_INTERFACE_MAX) {
		_Static_assert(CONFIG_INTERFACE_MAX == 4, "the sentence says so");
		ignore_section(parser, "too many interfaces; allowed: 4 sections [interface NAME]",
			       name);
		return;
	}
	interface = &config->interfaces[config->interface_count];
	if (set_name(parser, name, interface->name)) {
		config->interface_count++;
		interface->line = parser->line;
		interface->valid = true;
		interface->mtu = 1500;
		parser->fields = interface;
		parser->valid = &interface->valid;
	}
}

static void close_interface(struct parser *parser)
{
	const struct config_interface *interface = parser->fields;

	for (const struct config_interface *other = parser->config->interfaces;
	     other != interface && interface->has_mac; other++) {
		if (other->has_mac && memcmp(other->mac, interface->mac, sizeof(other->mac)) == 0) {
			mistake(parser, interface->line,
				"%t has the mac of [interface %s]; allowed: one section for each "
				"card",
				other->name);
		}
	}
}

static bool is_given(const struct parser *parser, const struct key *key)
{
	return (parser->seen & 1u << (key - parser->section->keys)) != 0;
}

static void close_partner(struct parser *parser)
{
	if (!is_given(parser, partner_address) && !is_given(parser, partner_serial)) {
		mistake(parser, parser->section_line,
			"%t has neither address nor serial; allowed: one of them or both");
	}
}

static void open_guest(struct parser *parser, struct slice name)
{
	struct config *config = parser->config;
	struct config_guest *guest;

	for (unsigned i = 0; i < config->guest_count; i++) {
		if (is_second(parser, name, config->guests[i].name)) {
			return;
		}
	}
	if (config->guest_count == CONFIG_GUEST_MAX) {
		_Static_assert(CONFIG_GUEST_MAX == 16, "the sentence says so");
		ignore_section(parser, "too many guests; allowed: 16 sections [guest NAME]", name);
		return;
	}
	guest = &config->guests[config->guest_count];
	if (set_name(parser, name, guest->name)) {
		config->guest_count++;
		guest->line = parser->line;
		guest->valid = true;
		guest->start = true;
		guest->on_reboot = ACTION_RESTART;
		parser->fields = guest;
		parser->valid = &guest->valid;
	}
}

static const struct section sections[] = {
	{"host", .keys = host_keys, .open = open_host},
	{"interface", .is_named = true, .keys = interface_keys, .open = open_interface,
	 .close = close_interface},
	{"partner", .is_secret = true, .keys = partner_keys, .open = open_partner,
	 .close = close_partner},
	{"guest", .is_named = true, .keys = guest_keys, .open = open_guest},
};

/* True when `title`, without its brackets, is of this section; *name is what follows. */
static bool is_title(const struct section *section, struct slice title, struct slice *name)
{
	size_t length = strlen(section->name);

	if (!section->is_named) {
		return slice_equals(title, section->name);
	}
	if (title.length <= length || memcmp(title.start, section->name, length) != 0 ||
	    (title.start[length] != ' ' && title.start[length] != '\t')) {
		return false;
	}
	*name = slice_trim((struct slice){title.start + length, title.length - length});
	return true;
}

static void parse_section(struct parser *parser, struct slice header)
{
	struct slice title = {header.start + 1, header.length - 1}, name = {"", 0};

	parser->ignoring = false;
	parser->valid = NULL;
	parser->name = "";
	parser->seen = 0;
	parser->section_line = parser->line;
	if (title.length > 0 && title.start[title.length - 1] == ']') {
		title.length--;
		title = slice_trim(title);
		for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
			if (is_title(&sections[i], title, &name)) {
				parser->section = &sections[i];
				sections[i].open(parser, name);
				return;
			}
		}
	}
	ignore_section(parser, "unknown section %q; allowed: " ALLOWED_SECTIONS, header);
}

static void end_section(struct parser *parser)
{
	if (parser->section == NULL || parser->ignoring) {
		return;
	}
	for (const struct key *key = parser->section->keys; key->name != NULL; key++) {
		if (key->is_needed && !is_given(parser, key)) {
			mistake(parser, parser->section_line, "%t has no %s; allowed: %s",
				key->name, key->allowed);
		}
	}
	if (parser->section->close != NULL) {
		parser->section->close(parser);
	}
}

/* ---- Lines ---------------------------------------------------------------- */

static void parse_value(struct parser *parser, const struct key *key, struct slice value)
{
	const char *wrong = "is given a second time";

	if (!is_given(parser, key) || key->repeatable) {
		wrong = key->set(key, value, (char *)parser->fields + key->offset);
	}
	parser->seen |= 1u << (key - parser->section->keys);
	if (wrong == NULL) {
		return;
	}
	if (key->is_secret) {
		mistake(parser, parser->line, "%s in %t %s; allowed: %s", key->name, wrong,
			key->allowed);
	} else {
		mistake(parser, parser->line, "%s = %q in %t %s; allowed: %s", key->name, value,
			wrong, key->allowed);
	}
}

static void parse_setting(struct parser *parser, struct slice line)
{
	const char *equals = memchr(line.start, '=', line.length);
	struct slice name = line, value;

	if (parser->section == NULL) {
		name = slice_trim(slice_take(&line, '='));
		mistake(parser, parser->line,
			"%q stands before the first section; allowed: " ALLOWED_SECTIONS
			", lines of comment with #",
			name);
		return;
	}
	if (equals == NULL) {
		if (parser->section->is_secret) {
			line = (struct slice){"...", 3};
		}
		mistake(parser, parser->line,
			"%q in %t is no setting; allowed: KEY = VALUE, [SECTION], # COMMENT", line);
		return;
	}
	name.length = (size_t)(equals - line.start);
	name = slice_trim(name);
	value.start = equals + 1;
	value.length = (size_t)(line.start + line.length - value.start);
	for (const struct key *key = parser->section->keys; key->name != NULL; key++) {
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
		end_section(parser);
		parse_section(parser, line);
	} else if (!parser->ignoring) {
		parse_setting(parser, line);
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
	end_section(&parser);
	return parser.mistake_count;
}

void config_forget_key(struct config *config)
{
	memset(config->partner.key, 0, sizeof(config->partner.key));
}
