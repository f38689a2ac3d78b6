/* L5 facade: the table of options and their values */
/* SPDX-License-Identifier: MIT */
/*
 * One table describes every option. The same row drives cloak_config_set(), the URI's parameters,
 * the error messages, cloak_config_property_at() and, by a tool that prints the latter, the table in
 * README.md. Limits stand in the row once, in the words that are shown: "10ms..60s" is parsed by the
 * same code as a value, and so is the default.
 */
#include "settings.h"

#include <stddef.h>
#include <string.h>

#include "mem.h"
#include "shards.h"

enum type { TEXT, INTEGER, SIZE, SPAN, BOOLEAN, CHOICE };
static const char *const type_names[] = {"text", "integer", "size", "span", "boolean", "choice"};

/* The bytes a text may consist of. NUL never is one. */
/* SHARDS: a list of shards, or nothing. */
enum bytes { ANY, NO_CONTROLS, PRINTABLE, PREFIX, TOKEN, ATTRIBUTE, SHARDS };

struct property {
	const char *name;
	enum type type;
	enum bytes bytes;
	int32_t secret;
	size_t offset; /* into struct cloak__settings: a char * for texts, else an int64_t */
	const char *range, *initial, *text;
};

#define AT(field) offsetof(struct cloak__settings, field)

static const struct property properties[] = {
	{"prefix", TEXT, PREFIX, 0, AT(prefix),
	 "1..64 bytes of printable ASCII without spaces, { and }", "cloak",
	 "First part of every key in Redis; it sets applications on one server apart."},
	{"db", INTEGER, ANY, 0, AT(db), "0..65535", "0", "Number of the Redis database."},
	{"username", TEXT, NO_CONTROLS, 0, AT(username), "0..255 bytes, no control characters", "",
	 "Redis user (ACL); empty means the server's default user."},
	{"password", TEXT, ANY, 1, AT(password), "0..512 bytes", "",
	 "Password of the user; empty means none is sent."},
	{"client_name", TEXT, PRINTABLE, 0, AT(client_name),
	 "0..64 bytes of printable ASCII without spaces", "cloakroom",
	 "Name that the server's CLIENT LIST shows for the connections."},
	{"timeout", SPAN, ANY, 0, AT(timeout_ms), "10ms..60s", "1s",
	 "Deadline of one call, connecting included."},
	{"connect_timeout", SPAN, ANY, 0, AT(connect_timeout_ms), "10ms..60s", "500ms",
	 "Longest time for opening one connection, within the call's deadline."},
	{"lanes", INTEGER, ANY, 0, AT(lanes), "1..16", "1",
	 "Connections to each Redis server, shared by all threads; one more is opened for large values."},
	{"replicas", INTEGER, ANY, 0, AT(replicas), "0..16", "0",
	 "A write is confirmed once so many replicas have it (WAIT); 0 means nobody is asked."},
	{"replicas_timeout_ms", INTEGER, ANY, 0, AT(replicas_timeout_ms), "1..60000", "50",
	 "How many milliseconds WAIT waits for the replicas; less than `timeout`."},
	{"next", TEXT, SHARDS, 0, AT(next), "0..8192 bytes: name=host[:port][*weight],...", "",
	 "The ring that `redis-ring:` will have next: its servers are asked for sessions too."},
	{"previous", TEXT, SHARDS, 0, AT(previous), "0..8192 bytes: name=host[:port][*weight],...",
	 "", "The ring that `redis-ring:` had before: its servers are asked for sessions too."},
	{"lost", TEXT, PRINTABLE, 0, AT(lost), "0..8192 bytes: name,...", "",
	 "Shards that will not come back: what they had counts as not found."},
	{"tls_ca_file", TEXT, NO_CONTROLS, 0, AT(tls_ca_file),
	 "0..1024 bytes, no control characters", "",
	 "File with the certificates (PEM) that are trusted; empty means the system's."},
	{"tls_cert_file", TEXT, NO_CONTROLS, 0, AT(tls_cert_file),
	 "0..1024 bytes, no control characters", "",
	 "File with the certificate (PEM) to show to a server that asks for one, and its chain."},
	{"tls_key_file", TEXT, NO_CONTROLS, 0, AT(tls_key_file),
	 "0..1024 bytes, no control characters", "",
	 "File with the key (PEM, without a passphrase) of the certificate in `tls_cert_file`."},
	{"tls_server_name", TEXT, PRINTABLE, 0, AT(tls_server_name),
	 "0..255 bytes of printable ASCII without spaces", "",
	 "Name the server's certificate must be for; empty means the host of the URI."},
	{"tls_insecure", BOOLEAN, ANY, 0, AT(tls_insecure), "true|false", "false",
	 "Check neither the server's certificate nor its name: anyone between can read and change."},
	{"idle_timeout", SPAN, ANY, 0, AT(idle_ms), "10ms..365d", "30m",
	 "A session ends when it was not used for so long."},
	{"absolute_timeout", SPAN, ANY, 0, AT(absolute_ms), "0s..3650d", "24h",
	 "A session ends so long after it was first saved, used or not; 0s means never."},
	{"renewal_timeout", SPAN, ANY, 0, AT(renewal_ms), "0s..365d", "0s",
	 "A save gives the session a new id when its id is so old; 0s means no save does."},
	{"renew_grace", SPAN, ANY, 0, AT(renew_grace_ms), "0s..1h", "60s",
	 "How long the old id leads on after a renewal in time."},
	{"user_sessions_max", INTEGER, ANY, 0, AT(user_sessions_max), "0..256", "0",
	 "Sessions a user can have at once; 0 means as many as fit, which is 256."},
	{"user_sessions_full", CHOICE, ANY, 0, AT(user_sessions_full), "evict|deny", "evict",
	 "What a log-in over `user_sessions_max` does: end the user's oldest session, or be refused."},
	{"touch_percent", INTEGER, ANY, 0, AT(touch_percent), "0..100", "10",
	 "A load extends the session when more than this part of the idle timeout has gone."},
	{"max_size", SIZE, ANY, 0, AT(max_size), "1KiB..64MiB", "1MiB",
	 "Largest record of one session, or of the list of a user's, before it is sealed."},
	{"memory_limit", SIZE, ANY, 0, AT(memory_limit), "64KiB..64GiB", "64MiB",
	 "Memory that the sessions of a `memory:` store take together."},
	{"cookie_name", TEXT, TOKEN, 0, AT(cookie_name),
	 "1..128 bytes: letters, digits and !#$%&'*+-.^_`|~", "__Host-session",
	 "Name of the session cookie."},
	{"cookie_path", TEXT, ATTRIBUTE, 0, AT(cookie_path),
	 "1..1024 bytes of printable ASCII without spaces, ; and ,", "/",
	 "Path attribute of the session cookie."},
	{"cookie_domain", TEXT, ATTRIBUTE, 0, AT(cookie_domain), "0..255 bytes: a host name", "",
	 "Domain attribute of the session cookie; empty means this host only."},
	{"cookie_same_site", CHOICE, ANY, 0, AT(cookie_same_site), "Lax|Strict|None", "Lax",
	 "SameSite attribute of the session cookie; None needs cookie_secure."},
	{"cookie_secure", BOOLEAN, ANY, 0, AT(cookie_secure), "true|false", "true",
	 "Secure attribute of the session cookie: browsers send it over HTTPS only."},
	{"cookie_partitioned", BOOLEAN, ANY, 0, AT(cookie_partitioned), "true|false", "false",
	 "Partitioned attribute of the session cookie: one for each embedding site."},
	/* RFC 6265bis section 5.5 caps the life of a cookie at 400 days. */
	{"cookie_max_age", SPAN, ANY, 0, AT(cookie_max_age_ms), "0s..400d", "0s",
	 "Max-Age of the session cookie; 0s means it goes when the browser closes."},
};

#define PROPERTIES (sizeof(properties) / sizeof(properties[0]))

static const struct property *find_property(const char *name)
{
	for (size_t i = 0; i < PROPERTIES; i++) {
		if (strcmp(properties[i].name, name) == 0)
			return &properties[i];
	}
	return NULL;
}

/* ---- values ---- */

struct unit {
	const char *name;
	int64_t factor;
};

/* A span must have a unit, a size may: both end with a row of no name. */
static const struct unit span_units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
					 {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit size_units[] = {{"B", 1},         {"", 1},          {"KiB", 1 << 10},
					 {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static size_t count_digits(const char *text, size_t len)
{
	size_t digits = 0;

	while (digits < len && text[digits] >= '0' && text[digits] <= '9')
		digits++;
	return digits;
}

/* A number and its unit. What exceeds 64 bits is INT64_MAX, which no range allows. */
static int parse_units(const char *text, size_t len, const struct unit *units, int64_t *out)
{
	size_t digits = count_digits(text, len);
	int64_t number;

	if (digits == 0 || (text[0] == '0' && digits > 1))
		return 0;
	if (!cloak__parse_i64(text, digits, 0, INT64_MAX, &number))
		number = INT64_MAX;
	for (; units->name != NULL; units++) {
		if (strlen(units->name) == len - digits &&
		    memcmp(units->name, text + digits, len - digits) == 0) {
			*out = number > INT64_MAX / units->factor ? INT64_MAX
								  : number * units->factor;
			return 1;
		}
	}
	return 0;
}

/* One of "a|b|c", letters of any case: its index. */
static int parse_choice(const char *choices, const char *text, int64_t *out)
{
	for (int64_t index = 0;; index++) {
		size_t step = strcspn(choices, "|");
		if (cloak__ascii_iequal(choices, step, text)) {
			*out = index;
			return 1;
		}
		if (choices[step] == '\0')
			return 0;
		choices += step + 1;
	}
}

static int parse_boolean(const char *text, size_t len, int64_t *out)
{
	static const char *const words[] = {"false", "true", "0", "1", "off", "on"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (cloak__ascii_iequal(text, len, words[i])) {
			*out = (int64_t)(i % 2);
			return 1;
		}
	}
	return 0;
}

/* 1 and the value, not compared with the range yet; 0: malformed. Only a number may be followed by
 * more than its len bytes. */
static int parse_value(const struct property *p, const char *text, size_t len, int64_t *out)
{
	switch (p->type) {
	case SPAN:
		return parse_units(text, len, span_units, out);
	case SIZE:
		return parse_units(text, len, size_units, out);
	case BOOLEAN:
		return parse_boolean(text, len, out);
	case CHOICE:
		return parse_choice(p->range, text, out);
	case INTEGER:
	case TEXT:
		break;
	}
	return cloak__parse_i64(text, len, INT64_MIN, INT64_MAX, out);
}

/* 1 if v is within the row's range, "low..high" and perhaps more words. */
static int in_range(const struct property *p, int64_t v)
{
	int64_t low = 0, high = 0;

	if (p->type == BOOLEAN || p->type == CHOICE)
		return 1;
	const char *dots = strstr(p->range, "..");
	const char *from = dots + 2;
	return parse_value(p, p->range, (size_t)(dots - p->range), &low) &&
	       parse_value(p, from, strcspn(from, " "), &high) && v >= low && v <= high;
}

static int text_fits(const struct property *p, const char *text)
{
	static const char *const forbidden[] = {"", "", "", "{}", "()<>@,;:\\\"/[]?={}", ";,", ""};

	if (!in_range(p, (int64_t)strlen(text)))
		return 0;
	for (const char *c = text; p->bytes != ANY && *c != '\0'; c++) {
		unsigned char byte = (unsigned char)*c;
		if (byte < 0x20 || byte == 0x7f)
			return 0;
		if (p->bytes >= PRINTABLE && (byte == ' ' || byte > 0x7f))
			return 0;
		if (strchr(forbidden[p->bytes], *c) != NULL)
			return 0;
	}
	return 1;
}

/* ---- settings ---- */

static const size_t uri_texts[] = {AT(scheme), AT(host), AT(path), AT(shards)};

#define URI_TEXTS (sizeof(uri_texts) / sizeof(uri_texts[0]))
#define FIELDS (URI_TEXTS + PROPERTIES)

static void *field_at(struct cloak__settings *s, size_t offset)
{
	return (char *)s + offset;
}

/* The text at an index below FIELDS, or NULL if the field there is a number. */
static char **text_at(struct cloak__settings *s, size_t index)
{
	if (index < URI_TEXTS)
		return field_at(s, uri_texts[index]);
	const struct property *p = &properties[index - URI_TEXTS];
	return p->type == TEXT ? field_at(s, p->offset) : NULL;
}

static void free_text(char *text)
{
	if (text != NULL)
		cloak__free_wiped(text, strlen(text));
}

void cloak__settings_free(struct cloak__settings *s)
{
	for (size_t i = 0; i < FIELDS; i++) {
		char **text = text_at(s, i);
		if (text != NULL)
			free_text(*text);
	}
	memset(s, 0, sizeof(*s));
}

int cloak__settings_text(char **text, const char *value)
{
	char *copy = cloak__strdup(value);

	if (copy == NULL)
		return 0;
	free_text(*text);
	*text = copy;
	return 1;
}

int cloak__settings_copy(struct cloak__settings *to, const struct cloak__settings *from)
{
	struct cloak__settings source = *from;
	int done = 1;

	*to = source;
	for (size_t i = 0; i < FIELDS; i++) {
		char **text = text_at(to, i);
		if (text != NULL)
			*text = NULL;
	}
	for (size_t i = 0; i < FIELDS && done; i++) {
		char **text = text_at(to, i);
		if (text != NULL)
			done = cloak__settings_text(text, *text_at(&source, i));
	}
	if (!done)
		cloak__settings_free(to);
	return done;
}

/* The options of an open store that cloak_store_reconfigure() changes. */
static int may_change(const struct property *p)
{
	return p->bytes == SHARDS || p->offset == AT(lost);
}

static int is_same(const struct property *p, const struct cloak__settings *a,
		   const struct cloak__settings *b)
{
	const char *at = (const char *)a + p->offset, *bt = (const char *)b + p->offset;

	if (p->type != TEXT)
		return *(const int64_t *)(const void *)at == *(const int64_t *)(const void *)bt;
	return strcmp(*(char *const *)(const void *)at, *(char *const *)(const void *)bt) == 0;
}

const char *cloak__settings_difference(const struct cloak__settings *a,
				       const struct cloak__settings *b)
{
	if (strcmp(a->scheme, b->scheme) != 0)
		return "uri";
	for (size_t i = 0; i < PROPERTIES; i++) {
		if (!may_change(&properties[i]) && !is_same(&properties[i], a, b))
			return properties[i].name;
	}
	return NULL;
}

/* Say what is wrong with a value that is no text. The options that are not text are no secrets; of
 * texts no value is repeated. */
static cloak_status refuse_number(const struct property *p, const char *value, int is_number,
				  cloak_error *err)
{
	static const char *const forms[] = {
		"",
		"no integer such as 10",
		"no size such as 65536, 64KiB or 1MiB",
		"no span such as 500ms, 90s, 30m, 12h or 7d",
		"neither true nor false",
		"none of ",
	};
	size_t len = strlen(value);

	if (is_number)
		return cloak__fail(err, CLOAK_E_CONFIG, "%s: \"%.40s\" is outside %s", p->name,
				   value, p->range);
	if (p->type == SPAN && len > 0 && len <= 19 && count_digits(value, len) == len)
		return cloak__fail(err, CLOAK_E_CONFIG, "%s: \"%s\" has no unit: write %ss",
				   p->name, value, value);
	return cloak__fail(err, CLOAK_E_CONFIG, "%s: \"%.40s\" is %s%s", p->name, value,
			   forms[p->type], p->type == CHOICE ? p->range : "");
}

static cloak_status set_property(struct cloak__settings *s, const struct property *p,
				 const char *value, cloak_error *err)
{
	if (p->type == TEXT) {
		if (!text_fits(p, value))
			return cloak__fail(err, CLOAK_E_CONFIG, "%s: it must be %s", p->name,
					   p->range);
		if (p->bytes == SHARDS && value[0] != '\0') {
			cloak_status status = cloak__shards_check(p->name, value, err);
			if (status != CLOAK_OK)
				return status;
		}
		return cloak__settings_text(field_at(s, p->offset), value) ? CLOAK_OK
									   : cloak__fail_nomem(err);
	}
	int64_t v = 0;
	int is_number = parse_value(p, value, strlen(value), &v);
	if (!is_number || !in_range(p, v))
		return refuse_number(p, value, is_number, err);
	*(int64_t *)field_at(s, p->offset) = v;
	return CLOAK_OK;
}

cloak_status cloak__settings_set(struct cloak__settings *s, const char *name, const char *value,
				 cloak_error *err)
{
	const struct property *p = find_property(name);

	if (p == NULL)
		return cloak__fail(err, CLOAK_E_CONFIG, "no option is named \"%.64s\"", name);
	return set_property(s, p, value, err);
}

cloak_status cloak__settings_init(struct cloak__settings *s)
{
	cloak_status status = CLOAK_OK;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < URI_TEXTS && status == CLOAK_OK; i++)
		status = cloak__settings_text(text_at(s, i), "") ? CLOAK_OK : CLOAK_E_NOMEM;
	for (size_t i = 0; i < PROPERTIES && status == CLOAK_OK; i++)
		status = set_property(s, &properties[i], properties[i].initial, NULL);
	if (status != CLOAK_OK)
		cloak__settings_free(s);
	return status;
}

cloak_status cloak_config_property_at(size_t index, cloak_property *out)
{
	if (out == NULL || out->size < sizeof(*out))
		return CLOAK_E_INVALID;
	uint32_t size = out->size;
	memset(out, 0, sizeof(*out));
	out->size = size;
	if (index >= PROPERTIES)
		return CLOAK_NOT_FOUND;
	const struct property *p = &properties[index];
	out->secret = p->secret;
	out->name = p->name;
	out->type = type_names[p->type];
	out->range = p->range;
	out->initial = p->initial;
	out->text = p->text;
	return CLOAK_OK;
}
