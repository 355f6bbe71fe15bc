#include <limits.h>

#include "ranks/mpi/mpi_transport.h"
#include "support/mem.h"

det_status det_mpi_check(struct det_env *env, int error, const char *what)
{
    char message[MPI_MAX_ERROR_STRING + 1] = "";
    int length = 0;
    if (error == MPI_SUCCESS)
        return DET_OK;
    if (MPI_Error_string(error, message, &length) != MPI_SUCCESS)
        message[0] = '\0';
    return det_fail(env, DET_STATUS_IO, "%s: %s (error %d of MPI)", what,
                    message[0] != '\0' ? message : "failed", error);
}

/* A slot that is free, and a size that MPI's int can hold. */
static det_status take(struct det_env *env, struct mpi_transport *t, int slot, size_t bytes,
                       struct mpi_slot **out)
{
    if (slot < 0 || slot >= DET_TRANSPORT_SLOTS || t->slots[slot].request != MPI_REQUEST_NULL)
        return det_fail(env, DET_STATUS_INTERNAL, "transfer: slot %d is not free", slot);
    if (bytes > INT_MAX)
        return det_fail(env, DET_STATUS_INTERNAL, "transfer: %zu bytes, expected at most %d", bytes,
                        INT_MAX);
    *out = &t->slots[slot];
    return DET_OK;
}

/* The same for a transfer of pieces, and room for their sizes. `begins` has been checked then: all
 * that follows fits in an int. */
static det_status take_for_pieces(struct det_env *env, struct mpi_transport *t, int slot,
                                  const size_t *begins, struct mpi_slot **out)
{
    const size_t size = (size_t)t->transport.size;
    struct mpi_slot *s = NULL;
    DET_TRY_RETURN(take(env, t, slot, begins[size], &s));
    for (size_t r = 0; r < size; r++)
        if (begins[r] > begins[r + 1])
            return det_fail(env, DET_STATUS_INTERNAL, "transfer: piece %zu ends before it begins",
                            r);
    if (s->sent == NULL) {
        int *numbers = NULL;
        DET_TRY_RETURN(det_alloc(env, &numbers, size * 4, sizeof *numbers, "sizes of pieces"));
        s->sent = numbers;
        s->sent_at = numbers + size;
        s->got = numbers + 2 * size;
        s->got_at = numbers + 3 * size;
    }
    *out = s;
    return DET_OK;
}

static void cut(int *counts, int *at, const size_t *begins, int32_t size)
{
    for (int32_t r = 0; r < size; r++) {
        counts[r] = (int)(begins[r + 1] - begins[r]);
        at[r] = (int)begins[r];
    }
}

det_status det_mpi_start_gather(struct det_env *env, struct det_transport *transport, int slot,
                                enum det_lane lane, const void *mine, void *all, size_t bytes)
{
    struct mpi_transport *t = (struct mpi_transport *)transport;
    const uint8_t *own_place = (const uint8_t *)all + (size_t)transport->rank * bytes;
    struct mpi_slot *s = NULL;
    DET_TRY_RETURN(take(env, t, slot, bytes, &s));
    /* MPI wants to be told where both are the same. */
    const void *sent = mine == own_place ? MPI_IN_PLACE : mine;
    return det_mpi_check(env,
                         MPI_Iallgather(sent, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE,
                                        t->lanes[lane], &s->request),
                         "MPI_Iallgather");
}

det_status det_mpi_start_broadcast(struct det_env *env, struct det_transport *transport, int slot,
                                   enum det_lane lane, void *data, size_t bytes)
{
    struct mpi_transport *t = (struct mpi_transport *)transport;
    struct mpi_slot *s = NULL;
    DET_TRY_RETURN(take(env, t, slot, bytes, &s));
    return det_mpi_check(
        env, MPI_Ibcast(data, (int)bytes, MPI_BYTE, 0, t->lanes[lane], &s->request), "MPI_Ibcast");
}

det_status det_mpi_start_scatter(struct det_env *env, struct det_transport *transport, int slot,
                                 enum det_lane lane, const void *values, void *parts,
                                 const size_t *begins)
{
    struct mpi_transport *t = (struct mpi_transport *)transport;
    const int32_t size = transport->size;
    struct mpi_slot *s = NULL;
    DET_TRY_RETURN(take_for_pieces(env, t, slot, begins, &s));
    cut(s->sent, s->sent_at, begins, size);
    const int own = s->sent[transport->rank];
    if (own > INT_MAX / size)
        return det_fail(env, DET_STATUS_INTERNAL, "transfer: %d pieces of %d bytes are too much",
                        (int)size, own);
    for (int32_t r = 0; r < size; r++) {
        s->got[r] = own;
        s->got_at[r] = r * own;
    }
    return det_mpi_check(env,
                         MPI_Ialltoallv(values, s->sent, s->sent_at, MPI_BYTE, parts, s->got,
                                        s->got_at, MPI_BYTE, t->lanes[lane], &s->request),
                         "MPI_Ialltoallv");
}

det_status det_mpi_start_collect(struct det_env *env, struct det_transport *transport, int slot,
                                 enum det_lane lane, void *values, const size_t *begins)
{
    struct mpi_transport *t = (struct mpi_transport *)transport;
    struct mpi_slot *s = NULL;
    DET_TRY_RETURN(take_for_pieces(env, t, slot, begins, &s));
    cut(s->got, s->got_at, begins, transport->size);
    return det_mpi_check(env,
                         MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_BYTE, values, s->got, s->got_at,
                                         MPI_BYTE, t->lanes[lane], &s->request),
                         "MPI_Iallgatherv");
}

det_status det_mpi_test(struct det_env *env, struct det_transport *transport, int slot, bool *done)
{
    struct mpi_transport *t = (struct mpi_transport *)transport;
    int over = 0;
    *done = false;
    if (slot < 0 || slot >= DET_TRANSPORT_SLOTS)
        return det_fail(env, DET_STATUS_INTERNAL, "transfer: there is no slot %d", slot);
    /* A request that is over, or none, becomes MPI_REQUEST_NULL. */
    DET_TRY_RETURN(det_mpi_check(env, MPI_Test(&t->slots[slot].request, &over, MPI_STATUS_IGNORE),
                                 "MPI_Test"));
    *done = over != 0;
    return DET_OK;
}
