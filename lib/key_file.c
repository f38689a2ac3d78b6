/* L1 values: the text of a key file */
/* SPDX-License-Identifier: MIT */
#include "key_file.h"

#include <string.h>

/*
 * Which key writes is said by a word and not by the order of the lines: to give writing to another key
 * is then a change that is seen as one. No message repeats what stands in a line, for it may be a key
 * in the wrong place.
 */

#define WORDS_MAX 3

struct line {
	const char *words[WORDS_MAX];
	size_t lens[WORDS_MAX], count; /* count: WORDS_MAX + 1 stands for more */
};

static int is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void split(const char *text, size_t len, struct line *line)
{
	const char *at = text, *end = text + len;

	line->count = 0;
	while (line->count <= WORDS_MAX) {
		const char *word;

		while (at < end && is_space(*at))
			at++;
		if (at == end)
			return;
		word = at;
		while (at < end && !is_space(*at))
			at++;
		if (line->count < WORDS_MAX) {
			line->words[line->count] = word;
			line->lens[line->count] = (size_t)(at - word);
		}
		line->count++;
	}
}

static int word_is(const struct line *line, size_t index, const char *word)
{
	return line->lens[index] == strlen(word) &&
	       memcmp(line->words[index], word, line->lens[index]) == 0;
}

static cloak_status read_line(struct cloak__keyring *ring, const struct line *line,
			      cloak_error *err)
{
	int is_user = word_is(line, 0, "user"), writes = line->count == 3;

	if (!is_user && !word_is(line, 0, "seal"))
		return cloak__fail(err, CLOAK_E_CONFIG, "it begins with neither seal nor user");
	if (line->count < 2)
		return cloak__fail(err, CLOAK_E_CONFIG, "there is no key");
	if (is_user && line->count > 2)
		return cloak__fail(err, CLOAK_E_CONFIG, "nothing follows the key in a user line");
	if (line->count > 3 || (writes && !word_is(line, 2, "write")))
		return cloak__fail(err, CLOAK_E_CONFIG,
				   "after the key of a seal line only write may follow");
	/* in memory a key may be raw, in a text it is not */
	if (line->lens[1] == CLOAK__KEY_BYTES)
		return cloak__fail(err, CLOAK_E_CONFIG, "a key is 43 or 44 characters of base64");
	if (is_user)
		return cloak__keyring_set_user_key(ring, line->words[1], line->lens[1], err);
	return cloak__keyring_add(ring, line->words[1], line->lens[1], writes, err);
}

cloak_status cloak__key_file_read(struct cloak__keyring *ring, const char *text, size_t len,
				  cloak_error *err)
{
	const char *at = text, *end = text + len;
	size_t number = 0, keys = 0;

	while (at < end) {
		const char *feed = memchr(at, '\n', (size_t)(end - at));
		const char *stop = feed ? feed : end;
		struct line line;
		cloak_status status;

		number++;
		split(at, (size_t)(stop - at - (stop > at && stop[-1] == '\r')), &line);
		at = feed ? feed + 1 : end;
		if (line.count == 0 || line.words[0][0] == '#')
			continue;
		status = read_line(ring, &line, err);
		if (status != CLOAK_OK) {
			cloak__fail_prefix(err, "line %zu", number);
			return status;
		}
		keys++;
	}
	if (keys == 0)
		return cloak__fail(err, CLOAK_E_CONFIG, "there is no key in it");
	return CLOAK_OK;
}
