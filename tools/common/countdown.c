#include "common/countdown.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/console.h"
#include "common/tool.h"
#include "support/clock.h"

const char *duration_text(char buffer[DURATION_BYTES], double seconds)
{
    /* Beyond it nobody counts, and it has to fit. */
    const double most = 1e9;
    const int64_t s = seconds > most ? (int64_t)most : seconds > 0 ? (int64_t)(seconds + .5) : 0;
    if (s < 60)
        snprintf(buffer, DURATION_BYTES, "%ds", (int)s);
    else if (s < 3600)
        snprintf(buffer, DURATION_BYTES, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        snprintf(buffer, DURATION_BYTES, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    else
        snprintf(buffer, DURATION_BYTES, "%" PRId64 "d%02dh", s / 86400, (int)(s / 3600 % 24));
    return buffer;
}

int countdown_show(void *user, int64_t done, int64_t total)
{
    struct countdown *c = user;
    const double now = det_clock_seconds();
    char left[DURATION_BYTES];
    if (c->begin_s == 0 || done < c->last)
        c->begin_s = now;
    c->last = done;
    /* The first is not counted: what went before it is not known. */
    if (done > 1)
        console_progress(
            "ETA %s  %s %lld/%lld",
            duration_text(left, (now - c->begin_s) / (double)(done - 1) * (double)(total - done)),
            c->what, (long long)done, (long long)total);
    else
        console_progress("%s %lld/%lld", c->what, (long long)done, (long long)total);
    return tool_interrupted();
}
