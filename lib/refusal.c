/* L2 wire: a server that refuses us, in words that give nothing away */
/* SPDX-License-Identifier: MIT */
#include "refusal.h"

#include <string.h>

static int has(const struct cloak__reply *node, const char *part)
{
	size_t n = strlen(part), i;

	for (i = 0; n > 0 && i + n <= node->len; i++) {
		if (memcmp(node->data + i, part, n) == 0)
			return 1;
	}
	return 0;
}

/* A server without AUTH repeats the arguments of what it does not know, cut and with changed
 * characters: "unknown command 'AUTH', with args beginning with: ...". The usual refusal may hold a
 * password as simple as "pass" and is shown all the same. */
static int is_showable(const struct cloak__conn_options *o, const struct cloak__reply *node)
{
	static const char usual[] = "WRONGPASS invalid username-password pair or user is disabled.";

	if (node->len == sizeof usual - 1 && memcmp(node->data, usual, sizeof usual - 1) == 0)
		return 1;
	return !has(node, "args beginning with") && !has(node, o->password);
}

cloak_status cloak__refusal(const struct cloak__conn_options *o, const char *what,
			    cloak_status otherwise, const struct cloak__reply *node,
			    cloak_error *err)
{
	cloak_status status = otherwise;

	if (cloak__reply_is_error(node, "LOADING") || has(node, "max number of clients reached"))
		status = CLOAK_E_UNAVAILABLE;
	else if (cloak__reply_is_error(node, "NOAUTH") || cloak__reply_is_error(node, "NOPERM") ||
		 cloak__reply_is_error(node, "WRONGPASS"))
		status = CLOAK_E_AUTH;
	if (!is_showable(o, node))
		return cloak__fail(err, status,
				   "%s refused %s (its words are not shown: they repeat "
				   "what was sent)",
				   o->label, what);
	return cloak__fail(err, status, "%s refused %s: %s", o->label, what,
			   (const char *)node->data);
}
