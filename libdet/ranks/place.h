/* place.h: which of the ranks on this machine the process is, as who started it says in the
 * environment: what it can know before it has met the others. */
#ifndef DET_RANKS_PLACE_H
#define DET_RANKS_PLACE_H

#include <stdint.h>

/* From 0; 0 where nothing says otherwise. Open MPI's, MPICH's and Slurm's word for it. */
int32_t det_launched_place_here(void);

#endif
