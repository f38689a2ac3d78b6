/* T0 bench: what the figures were measured with */
/* SPDX-License-Identifier: MIT */
#include "machine.h"

#include "report.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* The value of a line "name...: value" of a text, in a buffer that the next call reuses. */
static const char *value_of(const char *text, const char *name)
{
	static char value[128];
	const char *at = text ? strstr(text, name) : NULL;

	at = at ? strchr(at, ':') : NULL;
	if (!at)
		return NULL;
	at += 1 + strspn(at + 1, " \t");
	snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r\n"), at);
	return value;
}

static void tell_server(const struct bench *b)
{
	redisReply *info = redis_server_do(b->server, "INFO server");
	const char *text = info && info->type == REDIS_REPLY_STRING ? info->str : NULL, *version;

	if ((version = value_of(text, "valkey_version:")))
		report_machine("Valkey", version);
	else if ((version = value_of(text, "redis_version:")))
		report_machine("Redis", version);
	if (info)
		freeReplyObject(info);
}

void machine_tell(const struct bench *b)
{
	static char cpus[16384];
	FILE *f = fopen("/proc/cpuinfo", "r");
	time_t now = time(NULL);
	const char *model;
	struct utsname system;
	char text[160];

	cpus[f ? fread(cpus, 1, sizeof cpus - 1, f) : 0] = '\0';
	if (f)
		fclose(f);
	model = value_of(cpus, "model name");
	snprintf(text, sizeof text, "%s, %ld cores", model ? model : "unknown CPU",
		 sysconf(_SC_NPROCESSORS_ONLN));
	report_machine("machine", text);
	if (uname(&system) == 0) {
		snprintf(text, sizeof text, "%s %.*s", system.sysname,
			 (int)strcspn(system.release, "-+"), system.release);
		report_machine("system", text);
	}
	tell_server(b);
	snprintf(text, sizeof text, "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
	report_machine("hiredis", text);
	report_machine("libsodium", sodium_version_string());
	report_machine("cloakroom", cloak_version_string());
	strftime(text, sizeof text, "%Y-%m-%d", gmtime(&now));
	report_machine("date", text);
}
