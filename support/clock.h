/* clock.h: the time, for everything in the library and the tools.
 *
 * What lasts is measured on a clock that only goes forward (CLOCK_MONOTONIC, from an unknown
 * start); the wall clock, which people and other machines may set back, is for dates and for names.
 * Nothing here fails: Linux has both clocks. Any thread may call. */
#ifndef DET_SUPPORT_CLOCK_H
#define DET_SUPPORT_CLOCK_H

#include <stdint.h>

/* From an unknown start. */
uint64_t det_clock_ns(void);
double det_clock_seconds(void);

/* Since 1970 (UTC), as the system has it now. */
double det_clock_wall_seconds(void);
int64_t det_clock_wall_whole_seconds(void);
/* When this machine was started, in seconds since 1970; time in which it slept counts. */
int64_t det_clock_boot_seconds(void);

enum { DET_CLOCK_DATE_BYTES = 64 };

/* Date and time now, in UTC: "2026-11-28 18:20:44"; the first 16 characters are without seconds.
 * Returns `buffer`. */
char *det_clock_utc(char buffer[DET_CLOCK_DATE_BYTES]);

#endif
