/* mpi_transport.h: the transport over MPI, in det-mpi.so. MPI 3.1 and nothing of one vendor's: each
 * MPI has its own binary interface, so this is compiled with the one that is there.
 *
 * MPI has nobody come late: a collective of one communicator goes by the order of the calls. Each
 * lane is a communicator, so that lanes need no order among each other.
 */
#ifndef DET_RANKS_MPI_MPI_TRANSPORT_H
#define DET_RANKS_MPI_MPI_TRANSPORT_H

#include <mpi.h>

#include "ranks/transport.h"

struct mpi_slot {
    MPI_Request request; /* MPI_REQUEST_NULL: the slot is free */
    /* Counts and displacements, which MPI reads until the transfer is over: each [size]. NULL until
     * the slot has its first transfer with pieces. */
    int *sent, *sent_at, *got, *got_at;
};

struct mpi_transport {
    struct det_transport transport;
    MPI_Comm lanes[DET_LANES];
    struct mpi_slot slots[DET_TRANSPORT_SLOTS];
    bool initialised; /* MPI was, by us */
};

/* DET_OK for MPI_SUCCESS; else IO with MPI's message behind `what`. */
det_status det_mpi_check(struct det_env *env, int error, const char *what);

/* mpi_hangup.c: after MPI_Init. */
void det_mpi_outlive_hangups(void);

/* mpi_transfers.c */
det_status det_mpi_start_gather(struct det_env *env, struct det_transport *transport, int slot,
                                enum det_lane lane, const void *mine, void *all, size_t bytes);
det_status det_mpi_start_broadcast(struct det_env *env, struct det_transport *transport, int slot,
                                   enum det_lane lane, void *data, size_t bytes);
det_status det_mpi_start_scatter(struct det_env *env, struct det_transport *transport, int slot,
                                 enum det_lane lane, const void *values, void *parts,
                                 const size_t *begins);
det_status det_mpi_start_collect(struct det_env *env, struct det_transport *transport, int slot,
                                 enum det_lane lane, void *values, const size_t *begins);
det_status det_mpi_test(struct det_env *env, struct det_transport *transport, int slot, bool *done);

#endif
