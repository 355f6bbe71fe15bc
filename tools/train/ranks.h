/* ranks.h: det-train under mpirun or srun: one of several processes that train together. Rank 0 is
 * the one that tells and writes; the others tell nothing but errors that nobody else can. */
#ifndef DET_TOOLS_TRAIN_RANKS_H
#define DET_TOOLS_TRAIN_RANKS_H

#include <stdatomic.h>

#include "common/tool.h"

struct ranks_limits {
    double meeting_seconds;    /* for all ranks to have come */
    double standstill_seconds; /* det_communicator_settings' */
};

struct ranks {
    det_communicator *communicator; /* NULL: alone */
    bool found_out;                 /* this one was the first to know that another is lost */
    atomic_bool ends;               /* somebody is lost: this process has a few seconds left */
    bool unbound;                   /* from the one processor that mpirun had given it */
};

/* Before the tool is opened: where there are other ranks, only the first one tells, and each may
 * use its share of the processors. */
void ranks_prepare(struct ranks *ranks);
/* Joins the others, if there are any; ends the process, with a message, when they do not come.
 * Afterwards SIGINT and SIGTERM only set a flag, however often
 * they come: what mpirun and a terminal send comes twice. */
det_status ranks_open(struct tool *tool, struct ranks *ranks, const struct ranks_limits *limits);
/* Rank 0, or alone. */
bool ranks_is_first(const struct ranks *ranks);
/* All get the status and, in the context, message of the first rank whose is none. */
det_status ranks_agree(struct tool *tool, const struct ranks *ranks, det_status status);
/* As tool_fail(), once for all ranks. */
int ranks_fail(struct tool *tool, const struct ranks *ranks, det_status status);
void ranks_close(struct ranks *ranks);

#endif
