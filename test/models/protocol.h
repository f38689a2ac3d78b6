/* T0 test support: load, save, renew, destroy, as the models run them */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MODELS_PROTOCOL_H
#define CLOAK_MODELS_PROTOCOL_H

#include "world.h"

enum { HOPS_MAX = 2 }; /* forwarders a load follows; the library: 4 */

/* A client begins a call. */
void begin_load(struct world *w, unsigned client, uint8_t name);
void begin_save(struct world *w, unsigned client);
/* Not after UNKNOWN: then the caller has to save or load first. */
void begin_renew(struct world *w, unsigned client, int privilege);
void begin_destroy(struct world *w, unsigned client);

/* What every write of a record does: the tag it replaces becomes its latest mark. */
void protocol_push_mark(struct value *v, uint8_t tag);

/* ---- shared by protocol.c and renewal.c ---- */

enum op { LOAD = 1, SAVE, RENEW, DESTROY };
enum step { FIND = 1, PUT, NEW, CONFIRMING, OLD, REWRITE, TIDY, ENDING };

struct client *protocol_begin(struct world *w, unsigned c, enum op op);
void protocol_finish(struct world *w, unsigned c, enum answer answer);
/* Finish with a refusal, which is only to be believed if no attempt before it may have been applied. */
void protocol_refuse(struct world *w, unsigned c, enum answer answer);
/* Send a request; its reply comes in the step. */
void protocol_send(struct client *cl, enum step step, struct request request);
/* After a broken connection: 1 if the same bytes go out again. */
int protocol_again(const struct world *w, struct client *cl);
/* A tag nobody had. */
uint8_t protocol_tag(struct client *cl, unsigned c);
/* The record as loaded, with the own change; it carries the tags of the writes before it. */
struct value protocol_record(const struct world *w, struct client *cl, unsigned c);
/* Look for a name, in one ring or two, and go on by forwarders. */
void protocol_find(struct client *cl, uint8_t name);
/* The ring the handle's session is written in: where it was found, not where new ones are created. */
uint8_t protocol_place(const struct client *cl);
/* Save what is loaded, with the own change. */
void protocol_save_put(struct world *w, unsigned c);
/* The change is in. */
void protocol_save_done(struct world *w, unsigned c);
/* A renewal goes on: after a reply; when FIND is over, which began at the name `old`. */
void renew_answered(struct world *w, unsigned c, const struct reply *reply);
void renew_found(struct world *w, unsigned c, enum answer answer, uint8_t old);

#endif
