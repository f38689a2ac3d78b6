/* T0 test support: every byte of a stored value changed, in every place that stores them */
/* SPDX-License-Identifier: MIT */
#include "flips.h"

#include "contract.h"
#include "ring.h"

/*
 * Whatever is done to the bytes, a load gives no data and says what is wrong with them. Which bytes
 * give which answer (lib/keyring.h has the layout; the same for the three sealed formats):
 *
 *   byte 0          4                 CLOAK_NOT_FOUND: a tombstone is sealed by nobody, for who ends a
 *                                     session by name has no id. Who can write to the store can
 *                                     log out; so he can by deleting the key
 *                   1, 2, 3           CLOAK_E_CORRUPT: it is part of what is authenticated
 *                   others            CLOAK_E_UNSUPPORTED
 *   byte 1          flags             CLOAK_E_UNSUPPORTED
 *   bytes 2..5      key id            CLOAK_E_CRYPTO
 *   bytes 6..       nonce, successor, CLOAK_E_CORRUPT
 *                   box
 *   cut, lengthened                   CLOAK_E_CORRUPT
 */

enum { LIVE, FORWARDER, MARKER, KINDS };

static const struct flips_place *all_places;
static cloak_error err;

struct stored {
	const struct flips_place *place;
	cloak_store *store;
	cloak_session *session; /* whose bytes they are, or were before it was renewed */
	char id[CONTRACT_ID_CHARS + 1], name[33];
	uint8_t value[FLIPS_VALUE_MAX];
	size_t len;
	cloak_status intact; /* what a load answers when nothing is changed */
};

/* A stored value of a kind. loop: place * KINDS + kind. */
static struct stored store_one(int loop)
{
	struct stored x = {.place = &all_places[loop / KINDS]};
	int kind = loop % KINDS;

	x.store = contract_open_uri(x.place->uri, NULL);
	x.session = contract_saved(x.store, "Annabel Lee");
	contract_copy_id(x.session, x.id);
	ring_name(x.id, x.name);
	if (kind != LIVE)
		EXPECT(CLOAK_OK,
		       cloak_session_renew(x.session, kind == MARKER ? CLOAK_RENEW_PRIVILEGE : 0,
					   &err));
	x.intact = kind == MARKER ? CLOAK_RENEWED : CLOAK_OK;
	x.len = x.place->read(x.place, x.store, x.name, x.value);
	ck_assert_uint_gt(x.len, 46);
	ck_assert_int_eq(x.value[0], kind + 1);
	return x;
}

static void drop(struct stored *x)
{
	cloak_session_free(x->session);
	cloak_store_close(x->store);
}

/* What a load answers when that is stored. Never data; no part of id or value in a message. */
static cloak_status load_status(const struct stored *x, const uint8_t *value, size_t len)
{
	cloak_session *s = x->session;
	cloak_status st;

	x->place->write(x->place, x->store, x->name, value, len);
	memset(&err, 0, sizeof err);
	st = cloak_session_load(x->store, x->id, CONTRACT_ID_CHARS, 0, &s, &err);
	ck_assert_msg(st != CLOAK_OK && !s, "opened");
	ck_assert_msg((st < 0) == (err.text[0] != '\0'), "%s: \"%s\"", cloak_status_name(st),
		      err.text);
	ck_assert_ptr_null(strstr(err.text, x->id));
	ck_assert_ptr_null(strstr(err.text, "Annabel"));
	return st;
}

/* With its own bytes back the session is as it was. */
static void is_intact(const struct stored *x)
{
	cloak_session *s;

	x->place->write(x->place, x->store, x->name, x->value, x->len);
	EXPECT(x->intact, cloak_session_load(x->store, x->id, CONTRACT_ID_CHARS, 0, &s, &err));
	if (s)
		contract_has_text(s, "who", "Annabel Lee");
	cloak_session_free(s);
	s = contract_load(x->store, cloak_session_id(x->session));
	contract_has_text(s, "who", "Annabel Lee");
	cloak_session_free(s);
}

static cloak_status expected(size_t at)
{
	if (at == 1)
		return CLOAK_E_UNSUPPORTED;
	return at < 6 ? CLOAK_E_CRYPTO : CLOAK_E_CORRUPT;
}

/* SEC-23 */
START_TEST(changed_byte_never_opens)
{
	static const uint8_t flips[] = {0x01, 0x80, 0xff};
	struct stored x = store_one(_i);
	uint8_t value[FLIPS_VALUE_MAX];

	memcpy(value, x.value, x.len);
	for (size_t at = 1; at < x.len; at++) {
		for (size_t n = 0; n < sizeof flips; n++) {
			cloak_status st;

			value[at] = x.value[at] ^ flips[n];
			st = load_status(&x, value, x.len);
			ck_assert_msg(st == expected(at), "byte %zu ^ 0x%02x: %s", at, flips[n],
				      cloak_status_name(st));
		}
		value[at] = x.value[at];
	}
	is_intact(&x);
	drop(&x);
}
END_TEST

/* SEC-25 */
START_TEST(changed_format_never_opens)
{
	struct stored x = store_one(_i);
	uint8_t value[FLIPS_VALUE_MAX];

	memcpy(value, x.value, x.len);
	for (int format = 0; format < 256; format++) {
		cloak_status st, want = format == 4                  ? CLOAK_NOT_FOUND
					: format >= 1 && format <= 3 ? CLOAK_E_CORRUPT
								     : CLOAK_E_UNSUPPORTED;

		if (format == x.value[0])
			continue;
		value[0] = (uint8_t)format;
		st = load_status(&x, value, x.len);
		ck_assert_msg(st == want, "format %d: %s", format, cloak_status_name(st));
	}
	is_intact(&x);
	drop(&x);
}
END_TEST

/* SEC-23 */
START_TEST(cut_or_lengthened_value_never_opens)
{
	struct stored x = store_one(_i);
	uint8_t value[FLIPS_VALUE_MAX + 1] = {0};

	memcpy(value, x.value, x.len);
	for (size_t len = 0; len <= x.len + 1; len++) {
		cloak_status st;

		if (len == x.len)
			continue;
		st = load_status(&x, value, len);
		ck_assert_msg(st == CLOAK_E_CORRUPT, "%zu of %zu bytes: %s", len, x.len,
			      cloak_status_name(st));
	}
	is_intact(&x);
	drop(&x);
}
END_TEST

void flips_add(TCase *c, const struct flips_place *places, int count)
{
	all_places = places;
	tcase_add_loop_test(c, changed_byte_never_opens, 0, count * KINDS);
	tcase_add_loop_test(c, changed_format_never_opens, 0, count * KINDS);
	tcase_add_loop_test(c, cut_or_lengthened_value_never_opens, 0, count * KINDS);
}
