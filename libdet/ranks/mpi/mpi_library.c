/* What det-mpi.so shows: how the transport over MPI begins and ends. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "ranks/mpi/mpi_name.h"
#include "ranks/mpi/mpi_transport.h"
#include "support/mem.h"

/* The first line of what an MPI says of itself, as far as a comma, without "Version" and "v":
 * "Open MPI v4.1.4, package: ..." and "MPICH Version:      4.0.2" become name and number. */
static void shorten(char *name, size_t bytes, const char *text)
{
    size_t length = 0;
    const size_t end = strcspn(text, ",\n");
    name[0] = '\0';
    for (size_t at = 0; at < end;) {
        at += strspn(text + at, " \t:");
        const size_t word = strcspn(text + at, " \t:,\n");
        const char *from = text + at;
        at += word;
        const bool is_version = from[0] == 'v' && isdigit((unsigned char)from[1]);
        if (at > end || word == 0 || (word == 7 && memcmp(from + 1, "ersion", 6) == 0))
            continue;
        const int put = snprintf(name + length, bytes - length, "%s%.*s", length > 0 ? " " : "",
                                 (int)word - is_version, from + is_version);
        length += put > 0 && (size_t)put < bytes - length ? (size_t)put : 0;
    }
}

/* MPI is left in a state in which it can be used, or not touched. */
static det_status initialise(struct det_env *env, bool *by_us)
{
    int initialised = 0, finalised = 0, threads = MPI_THREAD_SINGLE;
    *by_us = false;
    DET_TRY_RETURN(det_mpi_check(env, MPI_Finalized(&finalised), "MPI_Finalized"));
    if (finalised)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "MPI has been finalised in this process, and cannot begin again");
    DET_TRY_RETURN(det_mpi_check(env, MPI_Initialized(&initialised), "MPI_Initialized"));
    if (!initialised) {
        DET_TRY_RETURN(det_mpi_check(
            env, MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &threads), "MPI_Init_thread"));
        *by_us = true;
        (void)MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        det_mpi_outlive_hangups();
    } else {
        DET_TRY_RETURN(det_mpi_check(env, MPI_Query_thread(&threads), "MPI_Query_thread"));
    }
    if (threads < MPI_THREAD_FUNNELED)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "MPI was initialised for programs of one thread, expected "
                        "MPI_Init_thread with MPI_THREAD_FUNNELED or more");
    return DET_OK;
}

static det_status make_lanes(struct det_env *env, struct mpi_transport *t)
{
    for (int lane = 0; lane < DET_LANES; lane++) {
        DET_TRY_RETURN(
            det_mpi_check(env, MPI_Comm_dup(MPI_COMM_WORLD, &t->lanes[lane]), "MPI_Comm_dup"));
        DET_TRY_RETURN(det_mpi_check(env,
                                     MPI_Comm_set_errhandler(t->lanes[lane], MPI_ERRORS_RETURN),
                                     "MPI_Comm_set_errhandler"));
    }
    return DET_OK;
}

static det_status describe(struct det_env *env, struct mpi_transport *t)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING + 1] = "";
    int rank = 0, size = 0, length = 0;
    DET_TRY_RETURN(det_mpi_check(env, MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank"));
    DET_TRY_RETURN(det_mpi_check(env, MPI_Comm_size(MPI_COMM_WORLD, &size), "MPI_Comm_size"));
    DET_TRY_RETURN(
        det_mpi_check(env, MPI_Get_library_version(text, &length), "MPI_Get_library_version"));
    t->transport.rank = rank;
    t->transport.size = size;
    shorten(t->transport.name, sizeof t->transport.name, text);
    return DET_OK;
}

static void close_transport(struct det_env *env, struct det_transport **transport, bool orderly)
{
    struct mpi_transport *t = (struct mpi_transport *)*transport;
    int finalised = 0;
    for (int slot = 0; slot < DET_TRANSPORT_SLOTS; slot++)
        /* MPI may look at those of a transfer that goes on. */
        if (t->slots[slot].request == MPI_REQUEST_NULL)
            det_free(env, &t->slots[slot].sent);
    if (orderly && MPI_Finalized(&finalised) == MPI_SUCCESS && !finalised) {
        for (int lane = 0; lane < DET_LANES; lane++)
            if (t->lanes[lane] != MPI_COMM_NULL)
                (void)MPI_Comm_free(&t->lanes[lane]);
        if (t->initialised)
            (void)MPI_Finalize();
    }
    det_free(env, transport);
}

static det_status open_transport(struct det_env *env, struct det_transport **out)
{
    static const struct det_transport_functions does = {
        det_mpi_start_gather, det_mpi_start_broadcast, det_mpi_start_scatter, det_mpi_start_collect,
        det_mpi_test,         close_transport,
    };
    struct mpi_transport *t = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &t, 1, sizeof *t, "transport over MPI"));
    t->transport.does = &does;
    for (int lane = 0; lane < DET_LANES; lane++)
        t->lanes[lane] = MPI_COMM_NULL;
    for (int slot = 0; slot < DET_TRANSPORT_SLOTS; slot++)
        t->slots[slot].request = MPI_REQUEST_NULL;
    DET_TRY(initialise(env, &t->initialised));
    DET_TRY(describe(env, t));
    DET_TRY(make_lanes(env, t));
    *out = &t->transport;
    return DET_OK;
fail:
    det_free(env, &t);
    return status;
}

DET_API extern const struct det_transport_library det_transport_library;
const struct det_transport_library det_transport_library = {
    .build = det_build,
    .name = DET_MPI_NAME,
    .open = open_transport,
};
