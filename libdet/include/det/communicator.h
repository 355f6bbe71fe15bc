/* det/communicator.h: processes that train one network together, on one machine or on many.
 *
 * Each process is a rank. All of them make the same calls with the same settings; rank 0 writes the
 * files. det_trainer_settings.communicator (det/trainer.h) makes a training one of all ranks: each
 * learns from its part of a step's pictures, the gradients are added up in the order of the ranks,
 * and all have the same weights, those that one process with `accumulate` would have, bit for bit.
 *
 * The processes are started by MPI's mpirun (Open MPI, MPICH) or by Slurm's srun. MPI is in a
 * shared object of its own, det-mpi.so, which is made where MPI is found when libdet is built and
 * loaded here (docs/distributed.md).
 */
#ifndef DET_COMMUNICATOR_H
#define DET_COMMUNICATOR_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_communicator det_communicator;

typedef struct det_communicator_settings {
    size_t struct_size; /**< sizeof(det_communicator_settings), set by the default function */
    /** a rank of which so long nothing is heard is lost; default 8 */
    double silence_seconds;
    /** Called once, from another thread, when a rank is lost or has given up, with a sentence that
     * names it and its host; a program that is busy with something else than the other ranks may
     * save what it has and end. Not needed: what waits for the lost rank returns RANK_LOST.
     * `status` is RANK_LOST, or what it has given up with: CANCELLED where it was asked to stop;
     * `first_hand` is 1 where this process found out by itself. Default NULL */
    void (*lost)(void *user, det_status status, const char *message, int first_hand);
    void *lost_user;
    /** when all ranks wait for each other, and so long nothing that one of them waits for has come,
     * the network between them counts as cut, and all are told as of a lost rank; default 60 */
    double standstill_seconds;
} det_communicator_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_communicator_settings_init(det_communicator_settings *settings,
                                            size_t struct_size);
static inline void det_communicator_settings_default(det_communicator_settings *settings)
{
    det_communicator_settings_init(settings, sizeof *settings);
}

/** Ranks that mpirun or srun started this process among, as the environment says; 1: it was started
 * alone, or nothing says otherwise. Loads nothing. */
DET_API int32_t det_launched_ranks(void);
/** This process's number among them; 0 when nothing says another. */
DET_API int32_t det_launched_rank(void);
/** What MPI det-mpi.so is of ("Open MPI 4.1.4"), static; NULL: there is none, or it can not be
 * loaded. */
DET_API const char *det_mpi_library(void);

/**
 * All ranks of MPI_COMM_WORLD. Initialises MPI unless the program has done so. DEVICE: det-mpi.so
 * is not there or can not be loaded, or another MPI's mpirun started this process; UNSUPPORTED: the
 * program has initialised MPI for one thread; MISMATCH: a rank is of another libdet; IO: the ranks
 * can not reach each other. One at a time in a process, and after it was closed none again where
 * libdet had initialised MPI. Calls on it, and on what uses it, come from one thread at a time;
 * `context` must outlive it. MPI_Init waits for all ranks, for ever where one ended before and the
 * launcher does not mind: det-train gives it five minutes.
 */
DET_NODISCARD DET_API det_status
det_communicator_open_mpi(det_context *context, const det_communicator_settings *settings,
                          det_communicator **communicator);
/** Waits for the other ranks unless one is lost or has given up, or this one has: then the process
 * is to end soon. */
DET_API void det_communicator_close(det_communicator **communicator);

/** 0 to size - 1; 0 for NULL. */
DET_API int32_t det_communicator_rank(const det_communicator *communicator);
/** At least 1; 1 for NULL. */
DET_API int32_t det_communicator_size(const det_communicator *communicator);
/** Name of the machine of a rank, the communicator's; "" for NULL or a rank that is not there. */
DET_API const char *det_communicator_host(const det_communicator *communicator, int32_t rank);

/** How a part of the program's own work went on each rank: all call it, and all get the status and
 * message (in the context) of the first rank on which it did not go well. */
DET_NODISCARD DET_API det_status det_communicator_agree(det_communicator *communicator,
                                                        det_status status, const char *message);

/** Tells the other ranks that this one cannot go on: their calls return `status` with "rank 2 on
 * HOST: message". For what a program finds out by itself; the library's own failures are told. */
DET_API void det_communicator_give_up(det_communicator *communicator, det_status status,
                                      const char *message);

#ifdef __cplusplus
}
#endif
#endif
