/* utf8.h: the characters of text that came from outside. */
#ifndef DET_BASE_UTF8_H
#define DET_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character (RFC 3629: shortest form, no surrogates, up to U+10FFFF) that the
 * string `text` begins with; 0 where it begins with none, or is empty. */
size_t det_utf8_next(const char *text, uint32_t *code);

/* The whole string is UTF-8. */
bool det_utf8_valid(const char *text);

#endif
