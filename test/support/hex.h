/* T0 test support: bytes written as hexadecimal text */
/* SPDX-License-Identifier: MIT */
#ifndef CLOAK_TEST_HEX_H
#define CLOAK_TEST_HEX_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of hexadecimal text in either case, spaces passed over; owned: free(). Anything else in
 * it, or half a byte, ends the program. */
uint8_t *hex_bytes(const char *hex, size_t *len);
/* Lower-case text of bytes; owned: free(). */
char *hex_text(const void *p, size_t len);

#endif
