/* L2 wire: a server that refuses us, in words that give nothing away */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_REFUSAL_H
#define CLOAK_REFUSAL_H

#include "conn.h"

/* Turn the ERROR reply to `what` ("AUTH") into a failure with the server's words: CLOAK_E_UNAVAILABLE
 * (it is LOADING, or has too many clients), CLOAK_E_AUTH (NOAUTH, NOPERM, WRONGPASS), else
 * `otherwise`. The password is never among the words. */
cloak_status cloak__refusal(const struct cloak__conn_options *o, const char *what,
			    cloak_status otherwise, const struct cloak__reply *node,
			    cloak_error *err);

#endif
