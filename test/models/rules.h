/* T0 test support: the rules of the protocol, each with the model that needs it */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MODELS_RULES_H
#define CLOAK_MODELS_RULES_H

/*
 * R(name, model, part of the protocol, what it says): RULE_name is on in all explorations but one, that
 * of its model without it. "..." goes on from the line before.
 *
 * What has no line here, and why:
 *   - UNLINK before SET in the end script; times to live of at least 1 ms; the touch script, which only
 *     touches what was loaded; sealed deadlines; what PTTL says: no memory limit, no milliseconds and no
 *     idle times in these models. The tests of the scripts and of the operations have them.
 *   - a tombstone stays as long as what it replaces, if that is more than ten minutes: the models know
 *     only "longer than any call".
 *   - a lost renewal replays its changes before, not after, it removes its new key; a first save that
 *     finds its own bytes is done. The other way round was explored too, and no promise breaks: the first
 *     is as good as its opposite, the second makes a retry worth its while.
 *   - records of users: that a record's time to live never shrinks, and that it is at least ten minutes,
 *     are one rule here, USER_STAYS, for each alone suffices. That put and write may come in either order
 *     is no rule: the scenarios have both. Where only one is right, see USER_VICTIM_LAST. Ending a name
 *     goes on to successors, as a destroy does; no promise breaks without that, for they are listed, too,
 *     and with two rings the next pass finds them.
 */
/* clang-format off */
#define RULES(R) \
	R(TOMBSTONE, destroy_renew, "destroy", \
	  "what is ended leaves a tombstone, not a gap") \
	R(TOMBSTONE_TTL, destroy_renew, "stored values", \
	  "a tombstone stays for ten minutes, longer than any call") \
	R(FORWARDER_TTL, destroy_renew, "stored values", \
	  "a forwarder stays for ten minutes, however short the grace") \
	R(FIRST_SAVE_DEADLINE, destroy_renew, "scripts", \
	  "a first save is refused when the shard's clock is past the deadline of its call") \
	R(MISSING_STAYS, destroy_renew, "scripts", \
	  "a save never creates what is missing") \
	R(TOMBSTONE_KEEPS_NEXT, destroy_renew, "scripts", \
	  "a tombstone keeps the successor's name of the forwarder, marker or tombstone it replaces") \
	R(SAVE_FOLLOWS, destroy_renew, "save", \
	  "a save that meets a forwarder follows it and merges there") \
	R(NEW_BEFORE_OLD, destroy_renew, "renew", \
	  "the new record is stored first, then the old one becomes a forwarder") \
	R(CONFLICT_REWRITES, destroy_renew, "renew", \
	  "a conflict on the old key: merge, write the new record again, then try the old key again") \
	R(NEW_ID_AFTER_OLD, destroy_renew, "renew", \
	  "the new id is handed out only once the old key is known to hold our forwarder") \
	R(UNKNOWN_KEEPS_OLD_ID, destroy_renew, "renew", \
	  "... so a renewal that ends in UNKNOWN keeps the old id") \
	R(UNKNOWN_LEAVES_NEW, destroy_renew, "renew", \
	  "... and leaves the new record stored, for our forwarder may be there or come later") \
	R(DESTROY_FOLLOWS, destroy_renew, "destroy", \
	  "a destroy goes on to the successor") \
	R(DESTROY_FOLLOWS_LATE, destroy_renew, "destroy", \
	  "... after the grace, too") \
	R(DESTROY_FOLLOWS_ALL, destroy_renew, "destroy", \
	  "... and on to the last one, without a limit") \
	\
	R(LIVE_ONLY, renew_renew, "stored values", \
	  "only a live record is ever replaced by a save, whatever tags say") \
	R(OWN_TAG_DONE, renew_renew, "renew", \
	  "to find one's own forwarder is to have won") \
	R(LOSER_REPLAYS, renew_renew, "renew", \
	  "who finds another's forwarder replays the own changes on the winner") \
	R(LOSER_TIDIES, renew_renew, "renew", \
	  "... and removes the own new key") \
	R(RENEW_UNKNOWN_ASKS, renew_renew, "renew", \
	  "after a renewal that ended in UNKNOWN, too, a save only asks for the mark (of the new record)") \
	R(YOUNG_STAYS, renew_renew, "renew", \
	  "a session younger than a part of the grace is not renewed again") \
	R(HOPS_UNAVAILABLE, renew_renew, "renew", \
	  "more forwarders than a load follows are UNAVAILABLE, never NOT_FOUND") \
	\
	R(MARKER, privilege, "renew for privilege", \
	  "the old id becomes a marker, which opens nothing, not a forwarder") \
	R(PRIVILEGE_GOES_ON, privilege, "renew for privilege", \
	  "who finds another's forwarder renews the winner in turn, instead of replaying on it") \
	R(MARKER_OF_NOBODY, privilege, "stored values", \
	  "the marker of a session that was nobody's names no successor") \
	R(MARKER_OF_USER, privilege, "stored values", \
	  "the marker of a user's session names the successor") \
	R(MARKER_NOT_OK, privilege, "destroy", \
	  "a destroy that meets a marker without a successor answers RENEWED, not OK") \
	R(MARKER_AT_ANY_HOP, privilege, "destroy", \
	  "... whether it is the first name or a successor") \
	R(END_LEAVES_MARKER, privilege, "scripts", \
	  "... so ending such a marker leaves it there: who ends it again learns the same") \
	R(RENEWED_SETS_NO_COOKIE, privilege, "renew for privilege", \
	  "a request that was answered RENEWED sets no cookie") \
	\
	R(MERGE_RELOADS, ambiguous_save, "save", \
	  "after a conflict the record is loaded again and the own changes are replayed on it") \
	R(SAME_BYTES, ambiguous_save, "save", \
	  "a retry sends the same bytes") \
	R(MARKS, ambiguous_save, "stored values", \
	  "a record carries marks of the saves before it") \
	R(SEALING_MARKS, ambiguous_save, "stored values", \
	  "sealing anew and renewal are writes like others: the mark of what they replace is carried") \
	R(LOOK_FOR_MARK, ambiguous_save, "save", \
	  "a conflict after an ambiguous attempt looks for the own mark before it merges") \
	R(NEITHER_UNKNOWN, ambiguous_save, "save", \
	  "neither the own mark nor the loaded one is there: UNKNOWN, not \"not applied\"") \
	R(REFUSED_AFTER_AMBIGUOUS, ambiguous_save, "save", \
	  "NOT_FOUND and other refusals after an ambiguous attempt are UNKNOWN") \
	R(UNKNOWN_ONLY_ASKS, ambiguous_save, "save", \
	  "after UNKNOWN a save on that handle only asks for the mark") \
	R(RELOAD_DROPS, ambiguous_save, "save", \
	  "after UNKNOWN a reload drops the handle's changes") \
	\
	R(CONFIRM_FIRST, replicas, "renew", \
	  "with replicas= the new record is confirmed before the old one becomes a forwarder") \
	R(REPLICA_ASKS_PRIMARY, replicas, "loads", \
	  "what a replica has counts only if it is a live record; all else is asked of the primary") \
	\
	R(NO_O_WITH_B, two_rings, "two rings", \
	  "the new ring alone creates sessions (B) only when no process knows the old one only (O)") \
	R(NO_A_WITH_C, two_rings, "two rings", \
	  "the new ring alone is known (C) only when no process creates in the old one (A)") \
	R(DRAIN_BEFORE_C, two_rings, "two rings", \
	  "... and when the old ring is empty") \
	R(DRAIN_COUNTS_ALL, two_rings, "two rings", \
	  "... which forwarders, markers and tombstones are counted for, too") \
	R(DRAIN_BEFORE_O, two_rings, "two rings", \
	  "back to the old ring alone (O) only when the new one is empty") \
	R(WRITES_WHERE_FOUND, two_rings, "two rings", \
	  "a session is written in the ring it was found in") \
	R(DESTROY_BOTH, two_rings, "destroy", \
	  "a destroy goes to both owners of a name") \
	R(TOMBSTONE_OUTWEIGHS, two_rings, "two rings", \
	  "a tombstone or marker in one ring outweighs a live record in the other") \
	R(MISS_NEEDS_BOTH, two_rings, "two rings", \
	  "NOT_FOUND needs both owners to say so: one that does not answer is UNAVAILABLE") \
	R(LIVE_NEEDS_BOTH, two_rings, "two rings", \
	  "... also when the other one has a live record") \
	\
	R(USER_CAS, user_record, "users", \
	  "the record of a user is written by compare-and-set") \
	R(USER_PUT_FIRST, user_record, "users: bind, renew", \
	  "a new name is in the record before its id is handed out") \
	R(USER_REFUSED_MARKED, user_record, "users: bind, renew", \
	  "a put is refused if the entry is marked") \
	R(USER_REFUSED_GONE, user_record, "users: bind, renew", \
	  "... or, for a renewal, gone") \
	R(USER_PUT_ONCE, user_record, "users: bind", \
	  "a put whose answer was lost is not made again when the entry is not there") \
	R(USER_LOOK_MARKED, user_record, "users: bind, renew", \
	  "look again: an entry that is marked means: destroy what was written") \
	R(USER_LOOK_GONE, user_record, "users: bind, renew", \
	  "... and one that is gone") \
	R(USER_LOOK_NAME, user_record, "users: bind, renew", \
	  "... and one that lacks the new name") \
	R(USER_LOOK_MISSING, user_record, "users: bind, renew", \
	  "... and a record that is missing") \
	R(USER_DROP, user_record, "users: renew", \
	  "afterwards the names that were there when the new one was put leave the entry") \
	R(USER_DROP_OLDER, user_record, "users: renew", \
	  "... and not those that were put later") \
	R(USER_MARK_FIRST, user_record, "users: end-all", \
	  "entries are marked before their sessions are destroyed") \
	R(USER_MARK_ONCE, user_record, "users: end-all", \
	  "the marks are one compare-and-set, and what is bound later is not marked") \
	R(USER_ALL_NAMES, user_record, "users: end-all", \
	  "every name of a marked entry is destroyed") \
	R(USER_REMOVE_LAST, user_record, "users: end-all", \
	  "... and then those entries are removed") \
	R(USER_REACHED_ONLY, user_record, "users: end-all", \
	  "what could not be reached stays marked and listed") \
	R(USER_PARTIAL, user_record, "users: end-all", \
	  "... and the answer is PARTIAL") \
	R(USER_AGAIN, user_record, "users: end-all", \
	  "calling again ends what is marked already, too") \
	R(USER_SERIAL, user_record, "users: all but this one", \
	  "what is kept is known by its serial, not by its name") \
	R(USER_LIMIT_ONE_CAS, user_record, "users: limits", \
	  "count, put and the mark on the oldest are one compare-and-set") \
	R(USER_VICTIM_LAST, user_record, "users: limits", \
	  "the new session is written before the victim is marked and destroyed") \
	R(USER_FINISHES_MARKED, user_record, "users: limits", \
	  "... and with it all that is marked") \
	R(USER_DENY_SWEEPS, user_record, "users: limits", \
	  "who denies a log-in has asked which sessions are gone") \
	R(USER_SWEEP, user_record, "users: list", \
	  "a name leaves when it is known to be gone, and an entry without names") \
	R(USER_SWEEP_TOMBSTONE, user_record, "users: list", \
	  "... before, it gets a tombstone, if nothing is there") \
	R(USER_SWEEP_TOOK, user_record, "users: list", \
	  "... and it leaves only if that took, or a tombstone was there") \
	R(USER_ENTRY_LEAVES, user_record, "users: entries", \
	  "an entry leaves when its deadline is over") \
	R(USER_ENTRY_HOUR, user_record, "users: entries", \
	  "... by an hour, for clocks disagree") \
	R(USER_TTL_LATEST, user_record, "users: record", \
	  "the record lives as long as the latest deadline of its entries") \
	R(USER_TTL_HOUR, user_record, "users: record", \
	  "... and an hour, for clocks disagree") \
	R(USER_STAYS, user_record, "users: record", \
	  "a record without entries stays, longer than any call") \
	\
	R(RINGS_OWN_RECORD, user_rings, "users, two rings", \
	  "a renewal that crosses rings puts into its own record") \
	R(RINGS_LOOK_BOTH, user_rings, "users, two rings", \
	  "... looks at both, and a mark in one of them is enough") \
	R(RINGS_LOOK_FIRST, user_rings, "users, two rings", \
	  "... before the old id leads to the new one") \
	R(RINGS_STAYS, user_rings, "users, two rings", \
	  "... and leaves the entry where it was, too") \
	R(RINGS_LIST_UNION, user_rings, "users, two rings", \
	  "a list is the union of both records") \
	R(RINGS_PASS_BOTH, user_rings, "users, two rings", \
	  "an end-all passes over both records") \
	R(RINGS_PASS_AGAIN, user_rings, "users, two rings", \
	  "... again until a pass marks nothing new") \
	R(RINGS_LIMIT_UNION, user_rings, "users, two rings", \
	  "limits count the union of both records") \
	R(RINGS_LIMIT_LOOK, user_rings, "users, two rings", \
	  "... when the log-in looks, too: then it withdraws, or marks the oldest, itself maybe")
/* clang-format on */

enum rule {
	RULE_ALL, /* none is off */
#define R(name, model, part, text) RULE_##name,
	RULES(R)
#undef R
};

/* 1 unless this exploration is without the rule. */
int rule(enum rule r);

#endif
