/* countdown.h: how far a part of a job is and when it will end: "ETA 1m05s  evaluating 12/60". */
#ifndef DET_TOOLS_COMMON_COUNTDOWN_H
#define DET_TOOLS_COMMON_COUNTDOWN_H

#include <stdint.h>

/* "14s", "2m05s", "1h05m", "2d03h". Returns `buffer`. */
enum { DURATION_BYTES = 32 };
const char *duration_text(char buffer[DURATION_BYTES], double seconds);

struct countdown {
    const char *what; /* "evaluating" */
    double begin_s;   /* of this round: when the first was done */
    int64_t last;     /* done at the last call; fewer now: another round has begun */
};

/* `progress` of the library's settings, with a countdown as its user: shows it. Not 0, which stops
 * the job, after Ctrl-C. */
int countdown_show(void *user, int64_t done, int64_t total);

#endif
