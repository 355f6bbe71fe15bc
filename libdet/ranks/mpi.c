/* mpi.c: communicators of MPI's ranks. */
#include "base/arguments.h"
#include "base/context.h"
#include "base/launched.h"
#include "base/own_library.h"
#include "ranks/communicator.h"

int32_t det_launched_ranks(void)
{
    return det_launched_as().ranks;
}

int32_t det_launched_rank(void)
{
    return det_launched_as().rank;
}

static det_status open_library(struct det_env *env, const struct det_transport_library **library)
{
    static const struct det_own_library wanted = {.name = "det-mpi.so",
                                                  .variable = "DET_MPI_LIBRARIES",
                                                  .symbol = DET_TRANSPORT_LIBRARY,
                                                  .kind = "transport"};
    const void *content = NULL;
    DET_TRY_RETURN(det_own_library_open(env, &wanted, &content));
    *library = content;
    return DET_OK;
}

const char *det_mpi_library(void)
{
    const struct det_transport_library *library = NULL;
    struct det_env env;
    det_env_default(&env);
    return open_library(&env, &library) == DET_OK ? library->name : NULL;
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
                    "alone: start it with the mpirun of %s, or another --mpi of srun's, or build "
                    "libdet with the MPI whose launcher this was (make MPICC=...)",
                    (int)launched, transport->name, transport->name);
}

static det_status check_seconds(struct det_env *env, const char *name, double seconds)
{
    if (seconds >= 2 && seconds <= 86400)
        return DET_OK;
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "communicator: %s is %g, expected 2 to 86400",
                    name, seconds);
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
    DET_TRY_RETURN(check_seconds(env, "silence_seconds", settings.silence_seconds));
    DET_TRY_RETURN(check_seconds(env, "standstill_seconds", settings.standstill_seconds));
    DET_TRY_RETURN(open_library(env, &library));
    DET_TRY_RETURN(library->open(env, &transport));
    const det_status launched = check_launcher(env, transport);
    if (launched != DET_OK) {
        transport->does->close(env, &transport, true);
        return launched;
    }
    return det_communicator_create(env, transport, &settings, communicator);
}
