/* T0 test support: what sessions, their store and their handles are to be, as plain data */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <string.h>

#define STAYS_MS INT64_C(600000) /* tombstones and what a renewal leaves, at least */
#define HOPS_MAX 4
#define IDLE_MIN_MS INT64_C(10)
#define IDLE_MAX_MS (INT64_C(365) * 86400000)

void model_init(struct model *m, const struct model_options *options, int64_t now)
{
	memset(m, 0, sizeof *m);
	m->options = *options;
	m->now = now;
}

static void met(struct model *m, enum model_event event)
{
	m->events[event]++;
}

/* ---- places ---- */

struct model_place *model_at(struct model *m, int place)
{
	struct model_place *p = &m->places[place];

	if (p->kind != MODEL_NOTHING && p->expires <= m->now) {
		if (p->kind == MODEL_LIVE)
			met(m, MODEL_EXPIRED);
		p->kind = MODEL_NOTHING;
		p->to = -1;
	}
	return p;
}

void model_forget(struct model *m, int place)
{
	m->places[place].expires = m->now;
	(void)model_at(m, place);
}

static int new_place(struct model *m, int session)
{
	struct model_place *p = &m->places[m->count];

	assert(m->count < MODEL_PLACES);
	p->to = -1;
	p->session = session < 0 ? m->count : session;
	return m->count++;
}

/* From a place on, over forwarders in their grace time. CLOAK_OK: to a live record. */
static cloak_status follow(struct model *m, int *place, int *hops)
{
	for (;;) {
		const struct model_place *p = model_at(m, *place);
		int64_t late = m->options.plant == MODEL_GRACE_ONE_MORE ? 1 : 0;

		switch (p->kind) {
		case MODEL_LIVE:
			return CLOAK_OK;
		case MODEL_TOMBSTONE:
			met(m, MODEL_MET_TOMBSTONE);
			return CLOAK_NOT_FOUND;
		case MODEL_SUPERSEDED:
			met(m, MODEL_MET_SUPERSEDED);
			return CLOAK_RENEWED;
		case MODEL_FORWARDER:
			break;
		default:
			return CLOAK_NOT_FOUND;
		}
		if (m->now >= p->until + late) {
			met(m, MODEL_GRACE_OVER);
			return CLOAK_NOT_FOUND;
		}
		if (*hops == HOPS_MAX) {
			met(m, MODEL_TOO_FAR);
			return CLOAK_E_UNAVAILABLE;
		}
		++*hops;
		*place = p->to;
		met(m, MODEL_FOLLOWED);
	}
}

/* ---- handles ---- */

/* How long a record may live from now on. */
static int64_t life(const struct model *m, const struct model_record *r)
{
	if (r->absolute && r->absolute - m->now < r->idle)
		return r->absolute - m->now;
	return r->idle;
}

static void alive(const struct model *m, struct model_handle *h, int64_t left)
{
	h->left = left;
	h->as_of = h->met = m->now;
	h->expires = m->now + (left > 0 ? left : 0);
	if (h->record.absolute && h->expires > h->record.absolute)
		h->expires = h->record.absolute;
}

static void forget_changes(struct model_handle *h)
{
	memset(h->changes, 0, sizeof h->changes);
	h->idle_changed = h->is_dirty = 0;
}

/* The handle shows what is stored at the place. */
static void show(struct model *m, struct model_handle *h, int place, int hops)
{
	const struct model_place *p = model_at(m, place);

	h->place = place;
	h->version = p->version;
	h->record = p->record;
	h->is_new = h->is_gone = 0;
	h->is_renewed |= hops > 0;
	forget_changes(h);
	alive(m, h, p->expires - m->now);
}

/* Extend the life of what the handle was loaded from, if more than a part of its idle time has gone.
 * Nobody waits for it: the handle takes it as done. */
static void touch_if_due(struct model *m, struct model_handle *h)
{
	struct model_place *p = model_at(m, h->place);
	int64_t target = life(m, &h->record);
	int64_t left = h->left - (m->now - h->as_of), met_at = h->met;
	/* of idle times that are no multiple of 100, rounded as it is rounded there */
	int64_t part = h->record.idle / 100 * m->options.touch_percent +
		       h->record.idle % 100 * m->options.touch_percent / 100;

	if (target < 1 || (left >= 0 && target - left <= part))
		return;
	met(m, MODEL_TOUCHED);
	if (p->kind == MODEL_LIVE && p->version == h->version)
		p->expires = m->now + target;
	alive(m, h, target);
	h->met = met_at; /* nobody hears whether it was there */
}

void model_create(struct model *m, struct model_handle *h)
{
	memset(h, 0, sizeof *h);
	h->place = new_place(m, -1);
	h->record.idle = m->options.idle;
	h->is_new = 1;
}

cloak_status model_load(struct model *m, struct model_handle *h, int place, uint32_t flags)
{
	int hops = 0;
	cloak_status st = follow(m, &place, &hops);

	memset(h, 0, sizeof *h);
	h->place = -1;
	if (st != CLOAK_OK)
		return st;
	show(m, h, place, hops);
	if (!(flags & CLOAK_LOAD_PEEK) && m->options.plant != MODEL_LOAD_NO_TOUCH)
		touch_if_due(m, h);
	return CLOAK_OK;
}

cloak_status model_reload(struct model *m, struct model_handle *h)
{
	int place = h->place, hops = 0;
	cloak_status st = h->is_new ? CLOAK_NOT_FOUND : follow(m, &place, &hops);

	if (st != CLOAK_OK)
		return st;
	show(m, h, place, hops);
	touch_if_due(m, h);
	return CLOAK_OK;
}

/* ---- attributes ---- */

int model_attributes(const struct model_handle *h)
{
	int n = 0;

	for (int i = 0; i < MODEL_NAMES; i++)
		n += h->record.attrs[i].type != 0;
	return n;
}

static int is_same(struct model_value a, struct model_value b)
{
	return a.type == b.type && a.number == b.number;
}

cloak_status model_set(struct model_handle *h, int name, struct model_value value)
{
	if (is_same(h->record.attrs[name], value))
		return CLOAK_OK; /* no change */
	h->record.attrs[name] = value;
	h->changes[name].how = MODEL_SET;
	h->is_dirty = 1;
	return CLOAK_OK;
}

cloak_status model_add(struct model_handle *h, int name, int64_t delta, int64_t *out)
{
	struct model_value old = h->record.attrs[name], value = {.type = CLOAK_TYPE_I64};
	struct model_change *c = &h->changes[name];

	*out = 0;
	if (old.type && old.type != CLOAK_TYPE_I64)
		return CLOAK_E_INVALID;
	if (__builtin_add_overflow(old.number, delta, &value.number))
		return CLOAK_E_INVALID;
	*out = value.number;
	if (is_same(old, value))
		return CLOAK_OK;
	h->record.attrs[name] = value;
	h->is_dirty = 1;
	if (c->how == MODEL_SET)
		return CLOAK_OK;
	/* after an unset it counts from 0, whatever others have */
	if (c->how == MODEL_UNCHANGED && c->is_unset)
		c->how = MODEL_SET;
	else if (c->how == MODEL_UNCHANGED)
		*c = (struct model_change){.how = MODEL_ADDED, .delta = delta};
	else if (__builtin_add_overflow(c->delta, delta, &c->delta))
		c->how = MODEL_SET;
	return CLOAK_OK;
}

cloak_status model_unset(struct model_handle *h, int name)
{
	if (h->record.attrs[name].type == 0)
		return CLOAK_NOT_FOUND;
	h->record.attrs[name] = (struct model_value){0};
	h->changes[name] = (struct model_change){.is_unset = 1};
	h->is_dirty = 1;
	return CLOAK_OK;
}

cloak_status model_set_idle(struct model_handle *h, int64_t idle)
{
	if (idle < IDLE_MIN_MS || idle > IDLE_MAX_MS)
		return CLOAK_E_INVALID;
	if (h->record.idle == idle)
		return CLOAK_OK;
	h->record.idle = idle;
	h->idle_changed = h->is_dirty = 1;
	return CLOAK_OK;
}

int model_authenticated(const struct model *m, const struct model_handle *h, int64_t max_age)
{
	return h->record.authenticated && max_age >= 0 &&
	       m->now - h->record.authenticated <= max_age;
}

/* ---- saving ---- */

/* The handle's own changes on top of what others saved. 0: an addition does not fit. */
static int replay(const struct model *m, const struct model_handle *h, struct model_record *theirs)
{
	enum model_plant plant = m->options.plant;

	for (int i = 0; i < MODEL_NAMES; i++) {
		const struct model_change *c = &h->changes[i];
		struct model_value *t = &theirs->attrs[i];

		if (c->how == MODEL_SET || (c->how && plant == MODEL_ADDS_NO_DELTA)) {
			*t = h->record.attrs[i];
		} else if (c->how == MODEL_ADDED) {
			if (t->type && t->type != CLOAK_TYPE_I64)
				return 0;
			t->type = CLOAK_TYPE_I64;
			if (__builtin_add_overflow(t->number, c->delta, &t->number))
				return 0;
		} else if (c->is_unset && plant != MODEL_FORGETS_UNSETS) {
			*t = (struct model_value){0};
		}
	}
	if (h->idle_changed)
		theirs->idle = h->record.idle;
	return 1;
}

static cloak_status write(struct model *m, struct model_handle *h, int place, int hops,
			  const struct model_record *record)
{
	struct model_place *p = &m->places[place];
	int64_t left = life(m, record);

	if (left < 1)
		return CLOAK_NOT_FOUND;
	p->kind = MODEL_LIVE;
	p->record = *record;
	p->version = ++m->versions;
	p->expires = m->now + left;
	show(m, h, place, hops);
	return CLOAK_OK;
}

/* Something else is stored than what was loaded: save on top of it, wherever it is by now. */
static cloak_status merge(struct model *m, struct model_handle *h)
{
	int place = h->place, hops = 0;
	struct model_record theirs;
	cloak_status st = follow(m, &place, &hops);

	h->is_gone |= st == CLOAK_NOT_FOUND;
	if (st != CLOAK_OK)
		return st;
	if (!h->is_dirty) { /* a renewal that lost, and nothing of its own to save */
		show(m, h, place, hops);
		return CLOAK_OK;
	}
	theirs = m->places[place].record;
	if (!replay(m, h, &theirs)) {
		met(m, MODEL_REFUSED_ADD);
		return CLOAK_CONFLICT;
	}
	met(m, MODEL_MERGED);
	return write(m, h, place, hops, &theirs);
}

static cloak_status save(struct model *m, struct model_handle *h, uint32_t flags, int authenticates)
{
	struct model_record mine = h->record;
	const struct model_place *p = model_at(m, h->place);

	if (h->is_gone)
		return CLOAK_NOT_FOUND;
	if (h->is_new && model_attributes(h) == 0 && !authenticates)
		return CLOAK_OK; /* what stays empty is never stored */
	if (h->is_new) {
		mine.created = m->now;
		mine.absolute = m->options.absolute ? m->now + m->options.absolute : 0;
		mine.authenticated = authenticates ? m->now : 0;
		return write(m, h, h->place, 0, &mine);
	}
	if (!h->is_dirty) {
		touch_if_due(m, h);
		return CLOAK_OK;
	}
	if (life(m, &mine) < 1)
		return CLOAK_NOT_FOUND;
	if (p->kind == MODEL_LIVE && p->version == h->version)
		return write(m, h, h->place, 0, &mine);
	if (p->kind == MODEL_TOMBSTONE && m->options.plant == MODEL_SAVE_BRINGS_BACK)
		return write(m, h, h->place, 0, &mine);
	if ((flags & CLOAK_SAVE_STRICT) && (p->kind == MODEL_LIVE || p->kind == MODEL_FORWARDER)) {
		met(m, MODEL_REFUSED_STRICT);
		return CLOAK_CONFLICT;
	}
	return merge(m, h);
}

cloak_status model_save_listed(struct model *m, struct model_handle *h, uint32_t flags)
{
	return save(m, h, flags, 0);
}

cloak_status model_save(struct model *m, struct model_handle *h, uint32_t flags)
{
	int64_t since = h->record.renewed ? h->record.renewed : h->record.created;

	if (flags == 0 && m->options.renewal && !h->is_new && !h->is_gone &&
	    m->now - since >= m->options.renewal) {
		met(m, MODEL_SAVE_RENEWED);
		return model_renew(m, h, 0);
	}
	return save(m, h, flags, 0);
}

/* ---- renewing ---- */

static int is_too_fresh(const struct model *m, const struct model_handle *h)
{
	return h->record.renewed && (m->now - h->record.renewed) * HOPS_MAX < m->options.grace;
}

/* The session goes on under a new id, and the old one leads there or is superseded. */
static cloak_status move(struct model *m, struct model_handle *h, int place, int hops,
			 struct model_record *record, int for_privilege)
{
	struct model_place *old = &m->places[place];
	int to = new_place(m, old->session);

	record->renewed = m->now;
	old->kind = for_privilege ? MODEL_SUPERSEDED : MODEL_FORWARDER;
	old->to = for_privilege ? -1 : to;
	old->until = m->now + m->options.grace;
	old->expires = m->now + STAYS_MS;
	if (!for_privilege && m->options.grace > STAYS_MS)
		old->expires = old->until;
	met(m, for_privilege ? MODEL_PRIVILEGE : MODEL_RENEWED);
	return write(m, h, to, hops + 1, record);
}

static cloak_status renew(struct model *m, struct model_handle *h, int for_privilege,
			  int authenticates)
{
	struct model_record record = h->record;
	int place = h->place, hops = 0;
	cloak_status st;

	if (h->is_gone)
		return CLOAK_NOT_FOUND;
	if (h->is_new)
		return save(m, h, 0, authenticates); /* its id is fresh as it is */
	if (!for_privilege && is_too_fresh(m, h)) {
		met(m, MODEL_TOO_FRESH);
		return save(m, h, 0, 0);
	}
	if (life(m, &record) < 1)
		return CLOAK_NOT_FOUND;
	if (!for_privilege && model_at(m, place)->kind == MODEL_FORWARDER) {
		met(m, MODEL_LOST_RENEWAL);
		return merge(m, h);
	}
	st = follow(m, &place, &hops);
	h->is_gone |= st == CLOAK_NOT_FOUND;
	if (st != CLOAK_OK)
		return st;
	if (m->places[place].version != h->version) {
		record = m->places[place].record;
		if (!replay(m, h, &record)) {
			met(m, MODEL_REFUSED_ADD);
			return CLOAK_CONFLICT;
		}
		met(m, MODEL_RENEWED_LATE);
	}
	if (authenticates)
		record.authenticated = m->now;
	return move(m, h, place, hops, &record, for_privilege);
}

cloak_status model_renew(struct model *m, struct model_handle *h, uint32_t flags)
{
	return renew(m, h, (flags & CLOAK_RENEW_PRIVILEGE) != 0, 0);
}

cloak_status model_authenticate(struct model *m, struct model_handle *h)
{
	return renew(m, h, 1, 1);
}

/* ---- destroying ---- */

/* A tombstone is put over whatever is there, and goes on leading where that led. What was superseded
 * stays so: it says more. Where nothing is, what a renewal has left may have been, unless the session was
 * there less than STAYS_MS ago. */
cloak_status model_destroy(struct model *m, struct model_handle *h)
{
	int place = h->place, lives_on = 0;

	h->is_gone = 1;
	if (h->is_new)
		return CLOAK_OK;
	met(m, MODEL_DESTROYED);
	if (model_at(m, place)->kind == MODEL_NOTHING && m->now - h->met >= STAYS_MS)
		h->is_untraced = 1;
	while (place >= 0) {
		struct model_place *p = model_at(m, place);

		if (p->kind == MODEL_NOTHING || p->expires < m->now + STAYS_MS)
			p->expires = m->now + STAYS_MS;
		if (p->kind == MODEL_SUPERSEDED)
			lives_on = 1;
		else
			p->kind = MODEL_TOMBSTONE;
		place = m->options.plant == MODEL_DESTROYS_ONE ? -1 : p->to;
	}
	if (lives_on)
		return CLOAK_RENEWED;
	return h->is_untraced ? CLOAK_NOT_FOUND : CLOAK_OK;
}
