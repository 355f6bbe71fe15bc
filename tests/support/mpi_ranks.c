#include "support/mpi_ranks.h"

#include "det/communicator.h"
#include "support/run_tool.h"
#include "support/shell.h"

bool is_open_mpi(void)
{
    const char *mpi = det_mpi_library();
    return mpi != NULL && strncmp(mpi, "Open MPI", 8) == 0;
}

/* Where there are several MPIs, Debian tells their programs apart by an ending. NULL: there is
 * none. */
static const char *launcher(void)
{
    const char *const names[] = {is_open_mpi() ? "mpirun.openmpi" : "mpirun.mpich", "mpirun"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (shell("command -v %s >/dev/null 2>&1", names[i]) == 0)
            return names[i];
    return NULL;
}

bool has_mpi(void)
{
    if (det_mpi_library() == NULL)
        print_message("skipped: det-mpi.so was not built\n");
    else if (launcher() == NULL)
        print_message("skipped: there is no mpirun of %s\n", det_mpi_library());
    return det_mpi_library() != NULL && launcher() != NULL;
}

/* Open MPI wants to be told twice that it is root's, and that more ranks than cores are meant. What
 * MPI keeps when a process ends is no leak of ours. */
const char mpi_environment[] = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
                               "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0";

bool has_fast_mpi(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    print_message("skipped: with a sanitizer these trainings take minutes\n");
    return false;
#else
    return has_mpi();
#endif
}

void mpi_launch_words(char *words, size_t size, int ranks)
{
    snprintf(words, size, "%s %s -n %d", launcher(), is_open_mpi() ? "--oversubscribe" : "", ranks);
}

int run_ranks(char *out, size_t size, int ranks, const char *format, ...)
{
    char command[2000], words[200], line[2600];
    const char *folder = getenv("DET_BIN_DIR");
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    mpi_launch_words(words, sizeof words, ranks);
    /* Ranks that wait for each other for ever are ended. */
    snprintf(line, sizeof line, "%s timeout 600 %s %s/%s 2>&1 </dev/null", mpi_environment, words,
             folder != NULL ? folder : "build/release/bin", command);
    return run_line(out, size, line);
}
