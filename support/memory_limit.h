/* memory_limit.h: how much memory this process may still take. */
#ifndef DET_SUPPORT_MEMORY_LIMIT_H
#define DET_SUPPORT_MEMORY_LIMIT_H

#include <stddef.h>

/* The least of what /proc/meminfo calls available and what the control groups leave
 * (support/control_group.h). SIZE_MAX where neither can be read. */
size_t det_memory_available(void);

/* One line "NAME: 123 kB" of a text in /proc/meminfo's form, or "NAME 123", in bytes; false when it
 * is not there. */
_Bool det_memory_parse_line(const char *text, const char *name, size_t *bytes);

/* Digits at the beginning; returns what is behind them, NULL when there are none ("max", "-1") or
 * too many. */
const char *det_memory_parse_number(const char *text, size_t *number);

#endif
