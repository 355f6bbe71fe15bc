/* mpi_job.h: det-train as ranks of an mpirun that goes on while the test looks at its processes,
 * ends some of them and sees what becomes of the others. */
#ifndef DET_TESTS_SUPPORT_MPI_JOB_H
#define DET_TESTS_SUPPORT_MPI_JOB_H

#include <sys/types.h>

#include "support/mpi_ranks.h"

struct mpi_job {
    pid_t launcher;
    int ranks;
    char mark[100]; /* in the environment of all its processes, which tells them from others */
    bool ended;
    int status; /* of the launcher: what it exited with, or minus the signal that ended it */
};

/* `launcher`: the words in front of the program, as "mpirun -n 2"; NULL: mpirun on this machine.
 * Both outputs of all ranks go to the file `log`, emptied before. */
void mpi_job_start(struct mpi_job *job, const char *launcher, int ranks, const char *log,
                   const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Process of a rank; 0: it is not there, or ended. */
pid_t mpi_job_rank(const struct mpi_job *job, int rank);
int mpi_job_ranks(const struct mpi_job *job);
/* Whether any of its processes has not ended. */
bool mpi_job_is_there(struct mpi_job *job);

/* Until so many ranks (0: none) are there; false: it took longer than that, or all has ended. */
bool mpi_job_wait_for_ranks(struct mpi_job *job, int ranks, double most_seconds);
/* Until no process is left; false: there are some still. */
bool mpi_job_wait(struct mpi_job *job, double most_seconds);
/* A line for each process that is left. */
void mpi_job_print(const struct mpi_job *job);
/* Ends all that is left. */
void mpi_job_end(struct mpi_job *job);

#endif
