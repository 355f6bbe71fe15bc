/* number.h: decimal numbers as text, the same whatever locale the host program has set: strtod and
 * printf follow it, and its decimal separator may be several bytes long. */
#ifndef DET_SUPPORT_NUMBER_H
#define DET_SUPPORT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* [-] digits [. digits] [e [sign] digits], all of `text`, as the nearest double (infinity when it
 * is too large for one). False and 0 when it is anything else. */
bool det_parse_decimal(const char *text, size_t bytes, double *value);

/* [-] digits, all of `text`, where 64 bits hold the number; else false and 0. */
bool det_parse_integer(const char *text, size_t bytes, int64_t *value);

/* Makes a point of whatever separator printf has put into one number (behind which a unit may
 * stand). Returns `text`. */
char *det_use_point(char *text);

#endif
