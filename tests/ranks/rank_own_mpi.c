/* rank-own-mpi: a program that has begun MPI by itself, which libdet then leaves as it is: two
 * communicators one after the other, and MPI goes on behind them. "single": begun for programs of
 * one thread, which is refused. Exit status 1 and a line on standard error when something is
 * otherwise. tests/unit/test_mpi.c starts it. */
#include <stdio.h>
#include <string.h>

#include <mpi.h>

#include "det/det.h"

static int mistake(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    return 1;
}

static int is_refused(det_context *context)
{
    det_communicator *communicator = NULL;
    const det_status status = det_communicator_open_mpi(context, NULL, &communicator);
    if (status != DET_STATUS_UNSUPPORTED || communicator != NULL ||
        strstr(det_context_error(context), "MPI_THREAD_FUNNELED") == NULL)
        return mistake("one thread", det_context_error(context));
    return 0;
}

static int open_and_close(det_context *context)
{
    det_communicator *communicator = NULL;
    int rank = 0, size = 0, finalised = 0, sum = 0;
    if (det_communicator_open_mpi(context, NULL, &communicator) != DET_OK)
        return mistake("opened", det_context_error(context));
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (det_communicator_rank(communicator) != rank || det_communicator_size(communicator) != size)
        return mistake("rank or size", "not MPI's");
    if (det_communicator_host(communicator, size - 1)[0] == '\0')
        return mistake("host", "has no name");
    det_communicator_close(&communicator);
    MPI_Finalized(&finalised);
    if (finalised)
        return mistake("closed", "MPI was finalised");
    MPI_Allreduce(&(int){rank + 1}, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return sum == size * (size + 1) / 2 ? 0 : mistake("MPI behind it", "a wrong sum");
}

int main(int argc, char **argv)
{
    const int single = argc > 1 && strcmp(argv[1], "single") == 0;
    det_context *context = NULL;
    int threads = 0;
    MPI_Init_thread(&argc, &argv, single ? MPI_THREAD_SINGLE : MPI_THREAD_FUNNELED, &threads);
    if (det_context_create(&context, NULL) != DET_OK)
        return mistake("context", "none");
    int result = single ? is_refused(context) : open_and_close(context);
    if (!single && result == 0)
        result = open_and_close(context);
    det_context_destroy(&context);
    MPI_Finalize();
    return result;
}
