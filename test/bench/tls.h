/* T0 bench: the same loads over TLS */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TLS_H
#define BENCH_TLS_H

#include "sides.h"

/* Before the server is started: what it needs to listen by TLS too. */
void tls_options(struct redis_options *options);
/* Open the store that loads over TLS what `b->store` loads over TCP. 0: not in this build. */
int tls_open(struct bench *b);
void tls_close(struct bench *b);

/* OURS loads by TLS; in SEALED's place is cloakroom over plain TCP. There is no third. */
extern const operation tls_sides[SIDES];

#endif
