/* launched.h: what the environment says of the ranks that a process was started among: by Open
 * MPI's mpirun, by what speaks PMI (MPICH, Intel MPI, srun --mpi=pmi2) or by Slurm beside PMIx
 * (srun --mpi=pmix). A batch script of Slurm, which has its variables too, is no rank. */
#ifndef DET_BASE_LAUNCHED_H
#define DET_BASE_LAUNCHED_H

#include <stdint.h>

/* All ranks and those on this machine, at least 1; this one's number among all and among those
 * here, 0 when nothing says one. */
struct det_launched {
    int32_t ranks, here, rank, place;
};
struct det_launched det_launched_as(void);

#endif
