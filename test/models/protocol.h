/* T0 test support: load, save, renew, destroy, as the models run them */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_MODELS_PROTOCOL_H
#define CLOAK_MODELS_PROTOCOL_H

#include "world.h"

enum { HOPS_MAX = 2 }; /* forwarders a load follows; the library: 4 */

/* A client begins a call. */
void begin_load(struct world *w, unsigned client, uint8_t name);
void begin_save(struct world *w, unsigned client);
void begin_renew(struct world *w, unsigned client, int privilege);
void begin_destroy(struct world *w, unsigned client);

/* What every write of a record does: the tag it replaces becomes its latest mark. */
void protocol_push_mark(struct value *v, uint8_t tag);

#endif
