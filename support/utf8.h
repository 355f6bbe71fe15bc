/* utf8.h: text that came from outside (names in data, labels, files): its characters, and how it is
 * shown.
 *
 * What is shown to people, in messages, logs and tables, must not steer their terminal, reorder the
 * line around it, or begin a line of its own: det_utf8_shown() writes what could as escapes. Files
 * get the text as it is.
 */
#ifndef DET_SUPPORT_UTF8_H
#define DET_SUPPORT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the UTF-8 character (RFC 3629: shortest form, no surrogates, up to U+10FFFF) that the
 * string `text` begins with; 0 where it begins with none, or is empty. */
size_t det_utf8_next(const char *text, uint32_t *code);

/* The next character of `text` as a file that must be UTF-8 holds it: itself, a byte that is none
 * as "%" and two hexadecimal digits. Bytes of it; moves *text on. */
size_t det_utf8_made(const char **text, char piece[4]);
/* Whether all of `made` is that of `text`. */
bool det_utf8_made_of(const char *made, const char *text);

/* The whole string is UTF-8. */
bool det_utf8_valid(const char *text);

/* Copies the string `text` into out[room] (room > 0; always terminated, cut between characters):
 * control characters, C0 and C1, as \t \n \r \xHH \uHHHH, line separators and the characters that
 * override the direction of writing (U+202A to U+202E, U+2066 to U+2069) as \uHHHH, bytes that are
 * no UTF-8 as \xHH. A backslash stays one, so that a shown text shown again is the same.
 * `keep_lines`: line feeds and tabs stay. Returns the length of the copy. */
size_t det_utf8_shown(char *out, size_t room, const char *text, bool keep_lines);

/* Bytes of a copy for each byte of the text, at most. */
enum { DET_UTF8_SHOWN_BYTES = 4 };

/* Columns that a whole copy takes on a terminal, in one line. */
size_t det_utf8_shown_length(const char *text);

/* Columns of a character on a terminal: 2 of most of East Asia's and emoji, 0 of marks on the
 * character before. */
size_t det_utf8_width(uint32_t code);
/* Bytes of the longest beginning of the UTF-8 `text` that is no wider than `columns`; *used: how
 * wide it is. */
size_t det_utf8_fit(const char *text, size_t columns, size_t *used);

#endif
