#define _GNU_SOURCE /* sched_setaffinity */
#include "train/ranks.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/console.h"

/* From the word that a rank is lost to the end of this process, whatever it is busy with. */
enum { SECONDS_TO_END = 8 };

/* Open MPI binds one or two ranks to a processor each, of however many there are, unless it is told
 * something else: right for programs of one thread. Where that leaves processors idle the rank may
 * use all of them again, and takes its share. */
static bool undo_binding(void)
{
    const char *here = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    const long ranks = here != NULL ? atol(here) : 0, online = sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;
    if (getenv("OMPI_MCA_orte_bound_at_launch") == NULL ||
        getenv("OMPI_MCA_hwloc_base_binding_policy") != NULL || ranks < 1 ||
        sched_getaffinity(0, sizeof set, &set) != 0 || CPU_COUNT(&set) >= online / ranks)
        return false;
    CPU_ZERO(&set);
    for (long i = 0; i < online && i < CPU_SETSIZE; i++)
        CPU_SET((size_t)i, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

void ranks_prepare(struct ranks *ranks)
{
    if (det_launched_rank() > 0)
        console_be_quiet();
    ranks->unbound = undo_binding();
}

/* What is said when this process does not come to its end by itself; a signal handler may do no
 * more. */
static char last_words[DET_ERROR_BYTES + 16];

static void end_at_once(int number)
{
    (void)number;
    const ssize_t written = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)written;
    _exit(TOOL_EXIT_ERROR);
}

static void end_in(unsigned seconds)
{
    signal(SIGALRM, end_at_once);
    alarm(seconds);
}

/* From another thread. What waits for the other ranks returns by itself; what does not must not
 * keep their machines. Who is asked to stop has the time that saving takes. */
static void on_lost(void *user, det_status status, const char *message, int first_hand)
{
    struct ranks *ranks = user;
    ranks->found_out = first_hand != 0;
    if (status == DET_STATUS_CANCELLED)
        return;
    if (det_launched_rank() == 0 || first_hand)
        snprintf(last_words, sizeof last_words, "det-train: %s\n", message);
    atomic_store(&ranks->ends, true);
    end_in(SECONDS_TO_END);
}

/* MPI waits for ever for a rank that ended before it came to MPI, or never began, and not every
 * launcher ends the others then: srun does not. */
static void begin_meeting(double most_seconds)
{
    char host[64] = "?";
    (void)gethostname(host, sizeof host - 1);
    snprintf(last_words, sizeof last_words,
             "det-train: rank %d on %s is here, but within %.0f seconds not all of the %d ranks "
             "have come: one did not start, has ended or cannot be reached (--meeting_seconds)\n",
             (int)det_launched_rank(), host, most_seconds, (int)det_launched_ranks());
    end_in((unsigned)most_seconds);
}

static void end_meeting(const struct ranks *ranks)
{
    alarm(0);
    if (atomic_load(&ranks->ends))
        end_in(SECONDS_TO_END);
}

det_status ranks_open(struct tool *tool, struct ranks *ranks, const struct ranks_limits *limits)
{
    det_communicator_settings settings;
    const int threads = det_context_threads(tool->context);
    if (ranks->unbound)
        tool_log(tool, DET_LOG_INFO,
                 "mpirun had bound each rank to one processor; they share all now, %d thread%s "
                 "each (mpirun --bind-to core keeps it)",
                 threads, threads == 1 ? "" : "s");
    if (det_launched_ranks() == 1)
        return DET_OK;
    det_communicator_settings_default(&settings);
    settings.lost = on_lost;
    settings.lost_user = ranks;
    settings.standstill_seconds = limits->standstill_seconds;
    begin_meeting(limits->meeting_seconds);
    const det_status status =
        det_communicator_open_mpi(tool->context, &settings, &ranks->communicator);
    end_meeting(ranks);
    return status;
}

bool ranks_is_first(const struct ranks *ranks)
{
    return det_communicator_rank(ranks->communicator) == 0;
}

det_status ranks_agree(struct tool *tool, const struct ranks *ranks, det_status status)
{
    if (ranks->communicator == NULL)
        return status;
    return det_communicator_agree(ranks->communicator, status,
                                  status != DET_OK ? tool_message(tool, status) : NULL);
}

int ranks_fail(struct tool *tool, const struct ranks *ranks, det_status status)
{
    if (ranks->communicator == NULL || ranks_is_first(ranks) || ranks->found_out)
        return tool_fail(tool, status);
    return TOOL_EXIT_ERROR;
}

void ranks_close(struct ranks *ranks)
{
    det_communicator_close(&ranks->communicator);
}
