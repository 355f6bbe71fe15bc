#include "ranks/reduction.h"

#include <string.h>

#include "support/clock.h"
#include "support/mem.h"

enum { PIECE_MULTIPLE = 16, FIRST_SLOT = 1 };

enum state { IDLE, SCATTERING, COMBINED, COLLECTING };

/* A vector on its way. Where it goes over the wire in bf16, `sent` and `parts` hold that. */
struct vector {
    size_t count;
    const float *rates;
    enum state state;
    float *values;      /* [count]: this rank's, then what all have */
    void *sent;         /* [count] in the form of the wire; `values` itself where that is float32 */
    void *parts;        /* [size][own piece] */
    float *sum;         /* [own piece] */
    size_t *begins;     /* [size + 1], bytes on the wire */
    size_t at, piece;   /* the own piece: where, how many floats */
    size_t value_bytes; /* on the wire: 4 or 2 */
};

struct det_reduction {
    det_communicator *communicator;
    int32_t rank, size;
    struct vector *vectors;
    int32_t count;
    struct det_round round;
    int32_t started, collected; /* vectors of the round, in the order in which they were started */
    int32_t *order;             /* [count] */
};

/* --- bf16: the upper half of a float32, rounded to nearest, ties to even --- */

static uint16_t to_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) /* NaN stays one */
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static float from_bf16(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* --- making --- */

/* Pieces begin at multiples of 16 values, the last ones may be short or empty. */
static void cut(struct vector *v, int32_t rank, int32_t size)
{
    const size_t units = (v->count + PIECE_MULTIPLE - 1) / PIECE_MULTIPLE;
    for (int32_t p = 0; p <= size; p++) {
        const size_t unit =
            units / (size_t)size * (size_t)p + units % (size_t)size * (size_t)p / (size_t)size;
        const size_t value = unit * PIECE_MULTIPLE < v->count ? unit * PIECE_MULTIPLE : v->count;
        v->begins[p] = value * v->value_bytes;
    }
    v->at = v->begins[rank] / v->value_bytes;
    v->piece = v->begins[rank + 1] / v->value_bytes - v->at;
}

static det_status make_vector(struct det_env *env, struct det_reduction *r, struct vector *v,
                              const struct det_vector *wanted, bool bf16)
{
    static const char what[] = "gradients of the ranks";
    const size_t size = (size_t)r->size;
    v->count = wanted->count;
    v->rates = wanted->rates;
    v->value_bytes = bf16 && v->rates == NULL ? sizeof(uint16_t) : sizeof(float);
    DET_TRY_RETURN(det_alloc(env, &v->begins, size + 1, sizeof *v->begins, what));
    cut(v, r->rank, r->size);
    DET_TRY_RETURN(det_alloc(env, &v->values, v->count, sizeof *v->values, what));
    DET_TRY_RETURN(det_alloc(env, &v->sum, v->piece, sizeof *v->sum, what));
    DET_TRY_RETURN(det_alloc_raw(env, &v->parts, size, v->piece * v->value_bytes, what));
    if (v->value_bytes == sizeof(float)) {
        v->sent = v->values;
        return DET_OK;
    }
    DET_TRY_RETURN(det_alloc_raw(env, &v->sent, v->count, v->value_bytes, what));
    return DET_OK;
}

det_status det_reduction_create(struct det_env *env, det_communicator *communicator,
                                const struct det_vector *vectors, int32_t count, bool bf16,
                                struct det_reduction **out)
{
    struct det_reduction *r = NULL;
    det_status status = DET_OK;
    *out = NULL;
    if (count < 1 || count > DET_REDUCTION_VECTORS)
        return det_fail(env, DET_STATUS_INTERNAL, "%d vectors of the ranks, expected 1 to %d",
                        (int)count, (int)DET_REDUCTION_VECTORS);
    DET_TRY_RETURN(det_alloc(env, &r, 1, sizeof *r, "reduction"));
    r->communicator = communicator;
    r->rank = det_communicator_rank(communicator);
    r->size = det_communicator_size(communicator);
    DET_TRY(det_alloc(env, &r->order, (size_t)count, sizeof *r->order, "reduction"));
    DET_TRY(det_alloc(env, &r->vectors, (size_t)count, sizeof *r->vectors, "reduction"));
    for (; r->count < count; r->count++)
        DET_TRY(make_vector(env, r, &r->vectors[r->count], &vectors[r->count], bf16));
    *out = r;
    return DET_OK;
fail:
    r->count = r->vectors != NULL ? count : 0;
    det_reduction_destroy(env, &r);
    return status;
}

void det_reduction_destroy(struct det_env *env, struct det_reduction **out)
{
    struct det_reduction *r = *out;
    if (r == NULL)
        return;
    for (int32_t i = 0; i < r->count; i++) {
        struct vector *v = &r->vectors[i];
        if (v->sent != v->values)
            det_free(env, &v->sent);
        det_free(env, &v->values);
        det_free(env, &v->parts);
        det_free(env, &v->sum);
        det_free(env, &v->begins);
    }
    det_free(env, &r->vectors);
    det_free(env, &r->order);
    det_free(env, out);
}

/* --- combining --- */

static void add_part(struct vector *v, size_t part, bool assign)
{
    float *sum = v->sum;
    if (v->value_bytes == sizeof(float)) {
        const float *x = (const float *)v->parts + part * v->piece;
        if (assign)
            memcpy(sum, x, v->piece * sizeof *sum);
        for (size_t i = 0; !assign && i < v->piece; i++)
            sum[i] += x[i];
        return;
    }
    const uint16_t *x = (const uint16_t *)v->parts + part * v->piece;
    for (size_t i = 0; i < v->piece; i++)
        sum[i] = assign ? from_bf16(x[i]) : sum[i] + from_bf16(x[i]);
}

static void average_part(struct vector *v, size_t part)
{
    const float *x = (const float *)v->parts + part * v->piece, *rates = v->rates + v->at;
    for (size_t i = 0; i < v->piece; i++)
        v->sum[i] -= (v->sum[i] - x[i]) * rates[i];
}

/* In rank order, behind the rounds before. */
static void combine(const struct det_reduction *r, struct vector *v)
{
    for (size_t part = 0; part < (size_t)r->size; part++) {
        if (v->rates != NULL)
            average_part(v, part);
        else
            add_part(v, part, r->round.first && part == 0);
    }
}

/* The own piece of the result into its place. */
static void put_piece(const struct det_reduction *r, struct vector *v)
{
    for (size_t i = 0; v->rates == NULL && i < v->piece; i++)
        v->sum[i] *= r->round.share;
    if (v->value_bytes == sizeof(float)) {
        memcpy(v->values + v->at, v->sum, v->piece * sizeof *v->sum);
        return;
    }
    uint16_t *sent = v->sent;
    for (size_t i = 0; i < v->piece; i++)
        sent[v->at + i] = to_bf16(v->sum[i]);
}

/* --- a round --- */

void det_reduction_begin(struct det_reduction *r, struct det_round round)
{
    r->round = round;
    r->started = r->collected = 0;
}

float *det_reduction_values(struct det_reduction *r, int32_t vector)
{
    return r->vectors[vector].values;
}

det_status det_reduction_start(struct det_env *env, struct det_reduction *r, int32_t vector,
                               const float *moving)
{
    struct det_transport *t = det_ranks_transport(r->communicator);
    struct vector *v = &r->vectors[vector];
    if (v->rates != NULL && r->round.first)
        memcpy(v->sum, moving + v->at, v->piece * sizeof *v->sum);
    if (v->sent != v->values)
        for (size_t i = 0; i < v->count; i++)
            ((uint16_t *)v->sent)[i] = to_bf16(v->values[i]);
    r->order[r->started++] = vector;
    v->state = SCATTERING;
    return det_ranks_started(env, r->communicator,
                             t->does->start_scatter(env, t, FIRST_SLOT + vector, DET_LANE_PARTS,
                                                    v->sent, v->parts, v->begins));
}

/* One step further, if its transfer is over. */
static det_status move_on(struct det_env *env, struct det_reduction *r, int32_t vector)
{
    struct vector *v = &r->vectors[vector];
    bool done = false;
    if (v->state != SCATTERING && v->state != COLLECTING)
        return DET_OK;
    DET_TRY_RETURN(det_ranks_test(env, r->communicator, FIRST_SLOT + vector, &done));
    if (!done)
        return DET_OK;
    if (v->state == SCATTERING) {
        combine(r, v);
        if (r->round.last)
            put_piece(r, v);
        v->state = r->round.last ? COMBINED : IDLE;
        return DET_OK;
    }
    for (size_t i = 0; v->sent != v->values && i < v->count; i++)
        v->values[i] = from_bf16(((const uint16_t *)v->sent)[i]);
    v->state = IDLE;
    return DET_OK;
}

/* What is combined goes out, in the order in which it was started: whichever rank's is ready
 * first, all ranks start the same. */
static det_status collect_what_can(struct det_env *env, struct det_reduction *r)
{
    struct det_transport *t = det_ranks_transport(r->communicator);
    while (r->collected < r->started) {
        const int32_t vector = r->order[r->collected];
        struct vector *v = &r->vectors[vector];
        if (v->state != COMBINED)
            return DET_OK;
        v->state = COLLECTING;
        r->collected++;
        DET_TRY_RETURN(
            det_ranks_started(env, r->communicator,
                              t->does->start_collect(env, t, FIRST_SLOT + vector, DET_LANE_WHOLES,
                                                     v->sent, v->begins)));
    }
    return DET_OK;
}

det_status det_reduction_progress(struct det_env *env, struct det_reduction *r)
{
    for (int32_t i = 0; i < r->started; i++)
        DET_TRY_RETURN(move_on(env, r, r->order[i]));
    return r->round.last ? collect_what_can(env, r) : DET_OK;
}

static bool is_over(const struct det_reduction *r)
{
    for (int32_t i = 0; i < r->started; i++)
        if (r->vectors[r->order[i]].state != IDLE)
            return false;
    return true;
}

static det_status wait_for_all(struct det_env *env, struct det_reduction *r)
{
    const uint64_t begin_ns = det_clock_ns();
    for (;;) {
        DET_TRY_RETURN(det_reduction_progress(env, r));
        if (is_over(r))
            return DET_OK;
        det_ranks_pause(begin_ns);
    }
}

det_status det_reduction_wait(struct det_env *env, struct det_reduction *r)
{
    det_ranks_begin_wait(r->communicator);
    const det_status status = wait_for_all(env, r);
    det_ranks_end_wait(r->communicator);
    return status;
}
