/* T0 test support: how much a long test does, and how long it may take, where it runs slower */
/* SPDX-License-Identifier: MIT */
#include "scale.h"

#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(WITH_ASAN)
#define WITH_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(WITH_TSAN)
#define WITH_TSAN 1
#endif
#ifndef WITH_ASAN
#define WITH_ASAN 0
#endif
#ifndef WITH_TSAN
#define WITH_TSAN 0
#endif

uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = name[0] != '\0' ? getenv(name) : NULL;

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

static unsigned slowness(void)
{
	if (getenv("CLOAK_SLOW") != NULL)
		return 30;
	return WITH_TSAN ? 8 : WITH_ASAN ? 3 : 1;
}

uint64_t scaled_count(const char *name, uint64_t n)
{
	uint64_t part = n / slowness();

	return env_number(name, part > 0 ? part : 1);
}

int scaled_ms(int ms)
{
	return ms * (slowness() > 1 ? 4 : 1);
}

int threads_end_at_fork(void)
{
	return WITH_TSAN;
}
