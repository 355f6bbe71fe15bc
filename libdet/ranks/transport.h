/* transport.h: how processes that train together hand each other bytes. The processes are called
 * ranks, as in MPI, and are numbered 0 to size - 1. A transport is MPI (ranks/mpi/, in det-mpi.so)
 * or, in tests, threads of one process (tests/support/thread_ranks.h); what is summed, and in which
 * order, is not its business (ranks/reduction.h).
 *
 * Every transfer is started, goes on while its slot is asked about and ends when `test` says so:
 * nothing here waits, so that whoever waits can look for ranks that are gone meanwhile
 * (ranks/communicator.h). Memory that a transfer was given is the transport's until it is done.
 *
 * All ranks start the same transfers of a lane in the same order, with the same sizes; what is in
 * different lanes may be started in any order.
 *
 * All calls come from one thread at a time.
 */
#ifndef DET_RANKS_TRANSPORT_H
#define DET_RANKS_TRANSPORT_H

#include "support/env.h"

/* Transfers under way at one time. Slot 0 is the communicator's own. */
enum { DET_TRANSPORT_SLOTS = 256 };

enum det_lane {
    DET_LANE_ORDERS, /* small things that everybody needs to know */
    DET_LANE_PARTS,  /* gradients on their way to where they are summed */
    DET_LANE_WHOLES, /* sums on their way back */
    DET_LANES
};

struct det_transport;

/* Sizes are below 2 GB. */
struct det_transport_functions {
    /* `bytes` of each rank to each: all [size][bytes], in rank order, `mine` among them. */
    det_status (*start_gather)(struct det_env *env, struct det_transport *transport, int slot,
                               enum det_lane lane, const void *mine, void *all, size_t bytes);
    /* Rank 0's data [bytes] to all. */
    det_status (*start_broadcast)(struct det_env *env, struct det_transport *transport, int slot,
                                  enum det_lane lane, void *data, size_t bytes);
    /* Each rank's values are cut at `begins` [size + 1] (bytes, rising, the first 0); piece r of
     * each goes to rank r: parts [size][bytes of the own piece], in rank order, the own among
     * them. `begins` is copied. */
    det_status (*start_scatter)(struct det_env *env, struct det_transport *transport, int slot,
                                enum det_lane lane, const void *values, void *parts,
                                const size_t *begins);
    /* The other way: each rank has piece `rank` of values, cut alike, in its place; in the end all
     * have all pieces. */
    det_status (*start_collect)(struct det_env *env, struct det_transport *transport, int slot,
                                enum det_lane lane, void *values, const size_t *begins);
    /* Whether the slot's transfer is over, which then is free again; true for a free one. Moves on
     * all that is under way. */
    det_status (*test)(struct det_env *env, struct det_transport *transport, int slot, bool *done);
    /* `orderly`: nothing is under way on any rank, and all ranks come here. Otherwise ranks may be
     * gone: nothing is waited for, what is under way is left to the system. */
    void (*close)(struct det_env *env, struct det_transport **transport, bool orderly);
};

/* What every transport begins with. */
struct det_transport {
    const struct det_transport_functions *does;
    int32_t rank, size;
    char name[96]; /* "Open MPI 4.1.4" */
};

/* --- det-mpi.so --- */

/* What its symbol is (base/own_library.h). */
#define DET_TRANSPORT_LIBRARY "det_transport_library"
struct det_transport_library {
    const char *build; /* det_build of what it was linked with */
    const char *name;  /* "Open MPI 4.1.4": what it was made with and loaded */
    /* MPI_COMM_WORLD. MPI is initialised unless the program has done so, and finalised in close
     * then. */
    det_status (*open)(struct det_env *env, struct det_transport **transport);
};

#endif
