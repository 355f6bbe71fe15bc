/* mpi_ranks.h: programs of the build as ranks of an mpirun. */
#ifndef DET_TESTS_SUPPORT_MPI_RANKS_H
#define DET_TESTS_SUPPORT_MPI_RANKS_H

#include "support/test.h"

/* Whether det-mpi.so was built and the mpirun of its MPI is here; a message when not. */
bool has_mpi(void);
/* The same, where programs start fast enough for many trainings: not with a sanitizer. */
bool has_fast_mpi(void);

bool is_open_mpi(void);

/* "mpirun -n 2", for more ranks than this machine has cores if need be; and the variables that
 * belong in front of it. */
void mpi_launch_words(char *words, size_t size, int ranks);
extern const char mpi_environment[];

/* Runs a program of the build, with its arguments, as that many ranks on this machine. Both outputs
 * of all ranks go to `out`. Returns mpirun's exit status. */
int run_ranks(char *out, size_t size, int ranks, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
