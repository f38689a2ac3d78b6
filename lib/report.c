/* L0 base: statuses in words, errors, log lines */
/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"

#define TEXT_ROOM sizeof(((cloak_error *)0)->text)

/* ---- version ---- */

#define QUOTE(x) #x
#define QUOTED(x) QUOTE(x)
#define VERSION_TEXT \
	QUOTED(CLOAK_VERSION_MAJOR) \
	"." QUOTED(CLOAK_VERSION_MINOR) "." QUOTED(CLOAK_VERSION_PATCH)

const char *cloak_version_string(void)
{
	return VERSION_TEXT;
}

int32_t cloak_version_number(void)
{
	return CLOAK_VERSION_MAJOR * 1000000 + CLOAK_VERSION_MINOR * 1000 + CLOAK_VERSION_PATCH;
}

int cloak_has_feature(const char *feature)
{
	static const char *const features[] = {"redis", "unix", "ring", "memory", "tls"};

	for (size_t i = 0; feature != NULL && i < sizeof(features) / sizeof(features[0]); i++) {
		if (strcmp(features[i], feature) == 0)
			return 1;
	}
	return 0;
}

/* ---- statuses ---- */

struct status_words {
	cloak_status status;
	const char *name, *text;
};

#define WORDS(status, text) \
	{ \
		status, #status, text \
	}

static const struct status_words statuses[] = {
	WORDS(CLOAK_OK, "ok"),
	WORDS(CLOAK_NOT_FOUND, "not found"),
	WORDS(CLOAK_CONFLICT, "somebody else saved first, or cookies contradict each other"),
	WORDS(CLOAK_RENEWED, "the id was replaced when privilege changed"),
	WORDS(CLOAK_UNCONFIRMED, "stored, not confirmed by replicas"),
	WORDS(CLOAK_PARTIAL, "done in part"),
	WORDS(CLOAK_LIMIT, "a limit is reached"),
	WORDS(CLOAK_E_INVALID, "an argument is wrong"),
	WORDS(CLOAK_E_NOMEM, "out of memory"),
	WORDS(CLOAK_E_TOO_LARGE, "too large"),
	WORDS(CLOAK_E_NOSPACE, "the buffer is too small"),
	WORDS(CLOAK_E_CONFIG, "an option, URI or key is wrong"),
	WORDS(CLOAK_E_TIMEOUT, "the deadline passed"),
	WORDS(CLOAK_E_IO, "the connection broke"),
	WORDS(CLOAK_E_PROTOCOL, "the server's answer makes no sense"),
	WORDS(CLOAK_E_SERVER, "the server refused"),
	WORDS(CLOAK_E_UNAVAILABLE, "the server cannot be reached now"),
	WORDS(CLOAK_E_UNKNOWN, "no answer: it may or may not have been applied"),
	WORDS(CLOAK_E_AUTH, "the server wants other credentials"),
	WORDS(CLOAK_E_CRYPTO, "sealed under a key that is not in the key ring"),
	WORDS(CLOAK_E_CORRUPT, "the stored bytes do not open"),
	WORDS(CLOAK_E_UNSUPPORTED, "not supported by this release"),
	WORDS(CLOAK_E_BUSY, "an operation is in flight"),
	WORDS(CLOAK_E_CLOSED, "the store is closed"),
	WORDS(CLOAK_E_INTERNAL, "a bug in the library"),
};

static const struct status_words *find_status(cloak_status status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (statuses[i].status == status)
			return &statuses[i];
	}
	return NULL;
}

const char *cloak_status_name(cloak_status status)
{
	const struct status_words *words = find_status(status);

	return words != NULL ? words->name : "CLOAK_?";
}

const char *cloak_status_text(cloak_status status)
{
	const struct status_words *words = find_status(status);

	return words != NULL ? words->text : "unknown status";
}

/* ---- errors and log lines ---- */

/* Drop the UTF-8 sequence at the end that was cut in its middle. */
static void drop_cut_sequence(char *text)
{
	size_t len = strlen(text), at = len;

	while (at > 0 && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at == 0 || (unsigned char)text[at - 1] < 0xc0)
		return;
	at--;
	if (!cloak__utf8_valid(text + at, len - at))
		text[at] = '\0';
}

/* Make what others wrote (a server's error text) safe to print: one line of UTF-8, without control
 * characters, those of 8 bits (U+0080..U+009F) included. */
static void clean(char *text)
{
	int valid = cloak__utf8_valid(text, strlen(text));

	for (char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x20 || c == 0x7f || (c >= 0x80 && !valid)) {
			*p = '?';
		} else if (c == 0xc2 && (unsigned char)p[1] < 0xa0) {
			*p++ = '?';
			*p = '?';
		}
	}
}

static void format_line(char out[TEXT_ROOM], const char *fmt, va_list args)
	__attribute__((format(printf, 2, 0)));

static void format_line(char out[TEXT_ROOM], const char *fmt, va_list args)
{
	int len = vsnprintf(out, TEXT_ROOM, fmt, args);

	if (len < 0)
		out[0] = '\0';
	else if ((size_t)len >= TEXT_ROOM)
		drop_cut_sequence(out);
	clean(out);
}

cloak_status cloak__fail(cloak_error *err, cloak_status status, const char *fmt, ...)
{
	char line[TEXT_ROOM]; /* apart, since an argument may be err->text */
	va_list args;

	assert(status < 0);
	if (err == NULL)
		return status;
	va_start(args, fmt);
	format_line(line, fmt, args);
	va_end(args);
	memset(err, 0, sizeof(*err));
	err->status = status;
	memcpy(err->text, line, strlen(line)); /* the rest stays zero: no byte of the stack */
	return status;
}

void cloak__fail_prefix(cloak_error *err, const char *fmt, ...)
{
	char prefix[TEXT_ROOM], line[TEXT_ROOM];
	va_list args;

	if (err == NULL)
		return;
	va_start(args, fmt);
	format_line(prefix, fmt, args);
	va_end(args);
	/* memory of a fixed size is the point here: what does not fit is cut */
	int len = snprintf(line, sizeof(line), "%s: %s", prefix, err->text);
	if (len >= (int)sizeof(line))
		drop_cut_sequence(line);
	memset(err->text, 0, sizeof(err->text));
	memcpy(err->text, line, strlen(line));
}

cloak_status cloak__fail_nomem(cloak_error *err)
{
	return cloak__fail(err, CLOAK_E_NOMEM, "out of memory");
}

void cloak__log(const struct cloak__log *log, enum cloak__event event, const char *fmt, ...)
{
	const struct cloak__event_words *words = cloak__event_words(event);
	char line[TEXT_ROOM];
	va_list args;

	if (log == NULL)
		return;
	if (log->metrics != NULL && event < CLOAK__SECURITY_EVENTS)
		cloak__count(&log->metrics->events[event], 1);
	if (log->fn == NULL)
		return;
	va_start(args, fmt);
	format_line(line, fmt, args);
	va_end(args);
	log->fn(log->user, words->level, words->name, line);
}
