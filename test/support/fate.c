/* T0 test support: what a session may be in the store, by what its calls reported */
/* SPDX-License-Identifier: MIT */
#include "fate.h"

#include <string.h>

static uint64_t bit(int n)
{
	return UINT64_C(1) << n;
}

/* Let everything that may yet be applied be so. */
static void settle(struct fate *f)
{
	uint64_t before;
	int v;

	do {
		before = f->may_be;
		for (v = 1; v <= f->versions; v++) {
			if ((f->pending & bit(v)) != 0 && (f->may_be & bit(f->base[v])) != 0)
				f->may_be |= bit(v);
		}
	} while (f->may_be != before);
	if (f->end_pending)
		f->may_be |= bit(FATE_ENDED);
}

/* Only those can be meant; there must be one. */
static const char *narrow(struct fate *f, uint64_t to, const char *otherwise)
{
	f->may_be &= to;
	if (f->may_be == 0)
		return otherwise;
	settle(f);
	return NULL;
}

static uint64_t live(void)
{
	return ~(bit(FATE_NOTHING) | bit(FATE_ENDED));
}

/* Versions made over `version`, over one of those, and so on. */
static uint64_t descendants(const struct fate *f, int version)
{
	uint64_t of = 0;
	int v;

	/* a version's base is older than itself */
	for (v = version + 1; v <= f->versions; v++) {
		if (f->base[v] == version || (of & bit(f->base[v])) != 0)
			of |= bit(v);
	}
	return of;
}

void fate_init(struct fate *f)
{
	memset(f, 0, sizeof *f);
	f->may_be = bit(FATE_NOTHING);
}

int fate_attempt(struct fate *f, int base)
{
	f->base[++f->versions] = (uint8_t)base;
	return f->versions;
}

const char *fate_saved(struct fate *f, int version)
{
	if ((f->may_be & bit(f->base[version])) == 0)
		return "saved, over a version that could not be stored any more";
	f->may_be = bit(version);
	f->pending &= ~bit(version);
	settle(f);
	return NULL;
}

const char *fate_conflict(struct fate *f, int version)
{
	return narrow(f, live() & ~bit(f->base[version]), "a conflict with nothing");
}

const char *fate_unknown(struct fate *f, int version)
{
	f->pending |= bit(version);
	settle(f);
	return NULL;
}

const char *fate_found_saved(struct fate *f, int version)
{
	f->pending &= ~bit(version);
	return narrow(f, bit(version) | descendants(f, version),
		      "found applied, and could not have been");
}

const char *fate_found_not_saved(struct fate *f, int version)
{
	uint64_t others =
		descendants(f, f->base[version]) & ~bit(version) & ~descendants(f, version);

	f->pending &= ~bit(version);
	if (f->base[version] == FATE_NOTHING) /* too late for it: the server refuses it now */
		return narrow(f, bit(FATE_NOTHING), "found not applied, and it is stored");
	return narrow(f, others, "found not applied, and nothing else could be stored");
}

const char *fate_not_found(struct fate *f)
{
	return narrow(f, bit(FATE_NOTHING) | bit(FATE_ENDED), "not found, though it is stored");
}

const char *fate_seen(struct fate *f, int version)
{
	if (version < 1 || version > f->versions)
		return "a version nobody wrote";
	return narrow(f, bit(version), "a version that cannot be stored");
}

const char *fate_destroyed(struct fate *f)
{
	f->may_be = bit(FATE_ENDED);
	f->pending = 0;
	f->end_pending = 0;
	return NULL;
}

const char *fate_destroy_unknown(struct fate *f)
{
	f->end_pending = 1;
	settle(f);
	return NULL;
}
