/* watch.h: the checkpoints of a folder one after the other, those that are still to come too. */
#ifndef DET_TOOLS_COMMON_WATCH_H
#define DET_TOOLS_COMMON_WATCH_H

#include "common/tool.h"

enum watch_extent {
    WATCH_NEWEST, /* the one that the folder's `checkpoint` file names, then the end */
    WATCH_ALL,    /* all that are there, rising, then the end */
    /* the newest, then each that comes, rising, until none came for the timeout or, without one,
     * until nobody trains there */
    WATCH_FOLLOW,
};

struct checkpoint_watch {
    const char *folder;
    enum watch_extent extent;
    double interval_seconds; /* between looks */
    /* From the end of the last evaluation. NaN: not asked for; the end is when the training is over
     * (see watch.c), at the latest after WATCH_TIMEOUT_SECONDS. */
    double timeout_seconds;
    int64_t last_step; /* that the config trains to; 0: no end */
    int (*evaluate)(void *user,
                    const det_checkpoint_info *found); /* an exit status; not 0 ends it */
    void *user;
};

#define WATCH_TIMEOUT_SECONDS 3600 /* the API's */

/* Returns the tool's exit status; after Ctrl-C 0. */
int checkpoint_watch(struct tool *tool, const struct checkpoint_watch *watch);

#endif
