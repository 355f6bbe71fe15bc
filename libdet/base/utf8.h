/* utf8.h: what is UTF-8 (RFC 3629) and what to write where it has to be.
 *
 * Names come from files that nobody checks: a file name is bytes, and so is a class in a record. JSON, XML, YAML and label maps
 * are UTF-8 or broken, so all writers write each byte that belongs to no UTF-8 character as "%" and two hexadecimal digits:
 * "caf\xe9" becomes "caf%E9". Different names stay different. */
#ifndef DET_BASE_UTF8_H
#define DET_BASE_UTF8_H

#include "base/env.h"
#include "base/text.h"

/* Bytes of the character at `text`, which ends with a NUL: 1 to 4; 0: there is none (a stray or cut sequence, one that is longer
 * than need be, a surrogate, beyond U+10FFFF). A NUL is a character of 1 byte. *code: its number, left alone where there is none; may be NULL. */
size_t det_utf8_character(const char *text, uint32_t *code);

bool det_utf8_is(const char *text);

/* Appends `text` as UTF-8. */
det_status det_utf8_append(struct det_env *env, struct det_text *out, const char *text);

/* The same in a string of its own, which the caller frees. */
det_status det_utf8_copy(struct det_env *env, char **out, const char *text);

#endif
