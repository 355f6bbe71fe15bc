#include "base/launched.h"

#include <stdlib.h>

/* The number in the first of some environment variables that is there; -1: none is. Slurm's "2(x3)",
 * two on each of three machines, is 2. */
static int32_t number_in(const char *const *variables)
{
    for (; *variables != NULL; variables++) {
        const char *text = getenv(*variables);
        int64_t value = 0;
        if (text == NULL || *text < '0' || *text > '9')
            continue;
        for (; *text >= '0' && *text <= '9' && value < INT32_MAX / 16; text++)
            value = value * 10 + (*text - '0');
        return (int32_t)value;
    }
    return -1;
}

struct det_launched det_launched_as(void)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", NULL};
    static const char *const tasks[] = {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", NULL};
    static const char *const numbers[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", NULL};
    static const char *const local[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS",
                                        "SLURM_STEP_TASKS_PER_NODE", "SLURM_NTASKS_PER_NODE", NULL};
    static const char *const places[] = {"OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID",
                                         "SLURM_LOCALID", NULL};
    struct det_launched l = {number_in(sizes), 1, number_in(numbers), 0};
    if (l.ranks < 0 && getenv("PMIX_RANK") != NULL)
        l.ranks = number_in(tasks);
    if (l.ranks < 1)
        l.ranks = 1;
    if (l.ranks > 1) {
        l.here = number_in(local);
        l.place = number_in(places);
    }
    if (l.place < 0)
        l.place = 0;
    if (l.here < 1 || l.here > l.ranks)
        l.here = 1;
    if (l.rank < 0 || l.rank >= l.ranks)
        l.rank = 0;
    return l;
}
