/* mpi.c: communicators of MPI's ranks, and what the environment says of who started us. The
 * variables are Open MPI's, those of PMI (MPICH, Intel MPI, srun --mpi=pmi2) and Slurm's own beside
 * PMIx (srun --mpi=pmix); of "4(x2),1", tasks of each node in turn, the first number is taken. */

#include <stdlib.h>

#include "base/arguments.h"
#include "base/context.h"
#include "ranks/communicator.h"

/* The number in an environment variable; 0 where there is none. */
static int32_t number_in(const char *variable)
{
    const char *text = getenv(variable);
    int64_t value = 0;
    if (text == NULL)
        return 0;
    for (; *text >= '0' && *text <= '9' && value < INT32_MAX / 16; text++)
        value = value * 10 + (*text - '0');
    return (int32_t)value;
}

static int32_t first_number(const char *const *variables)
{
    for (; *variables != NULL; variables++) {
        const int32_t number = number_in(*variables);
        if (number > 0)
            return number;
    }
    return 0;
}

int32_t det_launched_ranks(void)
{
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", NULL};
    static const char *const tasks[] = {"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", NULL};
    int32_t ranks = first_number(sizes);
    if (ranks == 0 && getenv("PMIX_RANK") != NULL)
        ranks = first_number(tasks);
    return ranks > 0 ? ranks : 1;
}

int32_t det_launched_ranks_here(void)
{
    static const char *const here[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS",
                                       "SLURM_NTASKS_PER_NODE", "SLURM_STEP_TASKS_PER_NODE", NULL};
    const int32_t all = det_launched_ranks();
    const int32_t ranks = all > 1 ? first_number(here) : 1;
    return ranks > 0 ? ranks : 1;
}

const char *det_mpi_library(void)
{
    const struct det_transport_library *library = NULL;
    struct det_env env;
    det_env_default(&env);
    return det_transport_library_open(&env, &library) == DET_OK ? library->name : NULL;
}

/* Under an mpirun of another MPI each process is a world of its own: they would all do the same
 * work, and write to the same files. */
static det_status check_launcher(struct det_env *env, const struct det_transport *transport)
{
    const int32_t launched = det_launched_ranks();
    if (transport->size > 1 || launched == 1)
        return DET_OK;
    return det_fail(env, DET_STATUS_DEVICE,
                    "started as one of %d ranks, but %s, which det-mpi.so is of, knows of this one "
                    "alone: start it with the mpirun of %s, or build libdet with the MPI whose "
                    "mpirun this was (make MPICC=...)",
                    (int)launched, transport->name, transport->name);
}

det_status det_communicator_open_mpi(det_context *context, const det_communicator_settings *given,
                                     det_communicator **communicator)
{
    struct det_env *env = det_context_env(context);
    const struct det_transport_library *library = NULL;
    struct det_transport *transport = NULL;
    det_communicator_settings settings;
    if (communicator != NULL)
        *communicator = NULL;
    DET_NEED(env, context);
    DET_NEED(env, communicator);
    det_communicator_settings_default(&settings);
    DET_TRY_RETURN(DET_TAKE(env, det_communicator_settings, &settings, given));
    if (!(settings.silence_seconds >= 2 && settings.silence_seconds <= 86400))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "communicator: silence_seconds is %g, expected 2 to 86400",
                        settings.silence_seconds);
    DET_TRY_RETURN(det_transport_library_open(env, &library));
    DET_TRY_RETURN(library->open(env, &transport));
    const det_status launched = check_launcher(env, transport);
    if (launched != DET_OK) {
        transport->does->close(env, &transport, true);
        return launched;
    }
    return det_communicator_create(env, transport, &settings, communicator);
}
