#include "devices/cpu/cpu_ranks.h"

#include <math.h>
#include <string.h>

#include "base/crc32c.h"
#include "model/moving.h"
#include "model/net.h"
#include "model/net_sync.h"
#include "model/optimizer.h"
#include "model/rank_figures.h"
#include "ranks/drift.h"
#include "ranks/reduction.h"
#include "support/clock.h"
#include "support/mem.h"

/* Small enough that the last bucket, for which nothing is left to hide behind, is soon over. */
#define BUCKET_FLOATS ((size_t)256 << 10)

/* Some parameters whose gradients travel together. */
struct bucket {
    int32_t first, end; /* in det_cpu_ranks::params */
    int32_t op;         /* behind which they are complete */
};

struct det_cpu_ranks {
    struct det_learner *learner;
    struct det_pool *pool;
    det_communicator *communicator;
    int32_t size;
    det_finish_gradient_fn finish;
    void *user;
    struct det_reduction *reduction;
    int32_t *params; /* trainable ones, those whose gradient is complete first in front */
    int32_t param_count;
    struct bucket *buckets;
    int32_t bucket_count;
    int32_t ranges_vector, moving_vector; /* of the reduction, behind the buckets */
    float *rates, *moving;                /* of model/moving.h; NULL: the batch norms are frozen */
    float *statistics; /* with synchronised batch norms: the batch's, as a vector like those */
    struct det_net_sync sync;
    struct det_rank_figures *figures; /* [size] */
    double *seconds;                  /* [size], of the update so far */
    double *matched;                  /* [size] */
    struct det_step_result so_far;

    /* of the batch under way */
    struct det_env *env;
    struct det_net *net;
    int32_t started; /* buckets */
    bool forward_told;
    uint64_t begin_ns;
    det_status status; /* the first failure of a transfer */
};

/* --- buckets --- */

/* The first operation of the graph that uses a parameter: the last one of a backward pass. */
static int32_t first_use(const struct det_graph *graph, int32_t param)
{
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->weight == param || op->bias == param ||
            (op->kind == DET_OP_BATCH_NORM && (op->gamma == param || op->beta == param)))
            return i;
    }
    return 0;
}

/* By falling first use; the order of parameters with the same one stays. */
static det_status order_params(struct det_env *env, struct det_cpu_ranks *r)
{
    const struct det_learner *l = r->learner;
    const size_t all = (size_t)l->graph.param_count;
    int32_t *uses = NULL;
    DET_TRY_RETURN(det_alloc(env, &uses, all, sizeof *uses, "buckets"));
    const det_status status = det_alloc(env, &r->params, all, sizeof *r->params, "buckets");
    for (int32_t p = 0; status == DET_OK && p < l->graph.param_count; p++) {
        if (!l->trainable[p])
            continue;
        uses[p] = first_use(&l->graph, p);
        int32_t at = r->param_count++;
        for (; at > 0 && uses[r->params[at - 1]] < uses[p]; at--)
            r->params[at] = r->params[at - 1];
        r->params[at] = p;
    }
    det_free(env, &uses);
    return status;
}

static size_t floats_of(const struct det_cpu_ranks *r, int32_t first, int32_t end)
{
    size_t floats = 0;
    for (int32_t i = first; i < end; i++)
        floats += r->learner->graph.params[r->params[i]].count;
    return floats;
}

/* Larger ones where there would be too many. */
static size_t bucket_floats(const struct det_cpu_ranks *r)
{
    const size_t least = floats_of(r, 0, r->param_count) / (DET_REDUCTION_VECTORS / 4) + 1;
    const size_t asked = r->learner->settings.bucket_floats;
    const size_t wanted = asked > 0 ? asked : BUCKET_FLOATS;
    return least > wanted ? least : wanted;
}

static det_status fill_buckets(struct det_env *env, struct det_cpu_ranks *r)
{
    const size_t most = bucket_floats(r);
    DET_TRY_RETURN(
        det_alloc(env, &r->buckets, DET_REDUCTION_VECTORS, sizeof *r->buckets, "buckets"));
    for (int32_t i = 0; i < r->param_count;) {
        struct bucket *b = &r->buckets[r->bucket_count++];
        b->first = b->end = i;
        do
            b->end = ++i;
        while (i < r->param_count && floats_of(r, b->first, i + 1) <= most);
        b->op = first_use(&r->learner->graph, r->params[b->end - 1]);
    }
    return DET_OK;
}

static det_status create_reduction(struct det_env *env, struct det_cpu_ranks *r)
{
    struct det_vector vectors[DET_REDUCTION_VECTORS];
    int32_t count = 0;
    for (; count < r->bucket_count; count++)
        vectors[count] =
            (struct det_vector){floats_of(r, r->buckets[count].first, r->buckets[count].end), NULL};
    r->ranges_vector = count;
    if (r->learner->settings.quantise)
        vectors[count++] = (struct det_vector){det_act_ranges_values(&r->learner->ranges), NULL};
    r->moving_vector = count;
    if (r->moving != NULL && r->statistics == NULL)
        vectors[count++] = (struct det_vector){det_moving_count(&r->learner->graph), r->rates};
    return det_reduction_create(env, r->communicator, vectors, count,
                                r->learner->settings.bf16_gradients, &r->reduction);
}

static void note(struct det_cpu_ranks *r, det_status status)
{
    if (r->status == DET_OK)
        r->status = status;
}

/* For the batch norms, while the network runs. */
static void gather(void *user, const void *mine, void *all, size_t bytes)
{
    struct det_cpu_ranks *r = user;
    if (r->status == DET_OK)
        note(r, det_ranks_gather(r->env, r->communicator, mine, all, bytes));
}

static det_status fill(struct det_env *env, struct det_cpu_ranks *r)
{
    const struct det_graph *graph = &r->learner->graph;
    const size_t moving = det_moving_count(graph), size = (size_t)r->size;
    DET_TRY_RETURN(order_params(env, r));
    if (r->param_count == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "nothing is trained: all is frozen");
    DET_TRY_RETURN(fill_buckets(env, r));
    DET_TRY_RETURN(det_alloc(env, &r->figures, size, sizeof *r->figures, "figures of the ranks"));
    DET_TRY_RETURN(det_alloc(env, &r->seconds, size, sizeof *r->seconds, "figures of the ranks"));
    DET_TRY_RETURN(det_alloc(env, &r->matched, size, sizeof *r->matched, "figures of the ranks"));
    if (det_learner_mode(r->learner) == DET_NET_TRAIN) {
        DET_TRY_RETURN(det_alloc(env, &r->moving, moving, sizeof *r->moving, "moving statistics"));
        DET_TRY_RETURN(det_alloc(env, &r->rates, moving, sizeof *r->rates, "moving statistics"));
        det_moving_rates(graph, r->rates);
    }
    if (r->learner->settings.sync_batch_norm && r->moving != NULL) {
        DET_TRY_RETURN(
            det_alloc(env, &r->statistics, moving, sizeof *r->statistics, "moving statistics"));
        DET_TRY_RETURN(det_net_sync_create(env, graph, r->size, gather, r, &r->sync));
    }
    return create_reduction(env, r);
}

det_status det_cpu_ranks_create(struct det_env *env, struct det_learner *learner,
                                struct det_pool *pool, det_finish_gradient_fn finish, void *user,
                                struct det_cpu_ranks **out)
{
    struct det_cpu_ranks *r = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &r, 1, sizeof *r, "ranks of a step"));
    *r = (struct det_cpu_ranks){
        .learner = learner,
        .pool = pool,
        .communicator = learner->settings.communicator,
        .size = det_communicator_size(learner->settings.communicator),
        .finish = finish,
        .user = user,
    };
    const det_status status = fill(env, r);
    if (status != DET_OK)
        det_cpu_ranks_destroy(env, &r);
    *out = r;
    return status;
}

void det_cpu_ranks_destroy(struct det_env *env, struct det_cpu_ranks **out)
{
    struct det_cpu_ranks *r = *out;
    if (r == NULL)
        return;
    det_reduction_destroy(env, &r->reduction);
    det_free(env, &r->params);
    det_free(env, &r->buckets);
    det_free(env, &r->rates);
    det_free(env, &r->moving);
    det_free(env, &r->statistics);
    det_net_sync_free(env, &r->sync);
    det_free(env, &r->figures);
    det_free(env, &r->seconds);
    det_free(env, &r->matched);
    det_free(env, out);
}

/* --- a batch --- */

/* Whether the batch norms' moving statistics are learnt now: not once training in 8 bits has frozen
 * them. */
static bool learns_moving(const struct det_cpu_ranks *r)
{
    return r->moving != NULL && !det_learner_rounds(r->learner);
}

void det_cpu_ranks_begin(struct det_env *env, struct det_cpu_ranks *r, struct det_net *net)
{
    const struct det_learner *l = r->learner;
    const int32_t batches = l->settings.accumulate;
    r->env = env;
    r->net = net;
    r->started = 0;
    r->forward_told = false;
    r->status = DET_OK;
    r->begin_ns = det_clock_ns();
    det_net_synchronise(net, learns_moving(r) && r->statistics != NULL ? &r->sync : NULL);
    det_reduction_begin(r->reduction,
                        (struct det_round){
                            .first = l->batches_done == 0,
                            .last = l->batches_done + 1 == batches,
                            .share = (float)(1.0 / ((double)batches * (double)r->size)),
                        });
}

/* Synchronised, all ranks have the same statistics, and nothing has to travel. */
static void add_statistics(struct det_cpu_ranks *r)
{
    const size_t count = det_moving_count(&r->learner->graph);
    det_net_batch_statistics(r->net, r->statistics);
    for (size_t i = 0; i < count; i++)
        r->moving[i] -= (r->moving[i] - r->statistics[i]) * r->rates[i];
}

/* In 8 bits: the ranges with this rank's batch in them, of which the mean is taken. */
static void start_ranges(struct det_cpu_ranks *r)
{
    det_net_seen_ranges(r->net, det_reduction_values(r->reduction, r->ranges_vector));
    note(r, det_reduction_start(r->env, r->reduction, r->ranges_vector, NULL));
}

/* What the forward leaves beside its outputs. */
static void tell_forward(struct det_cpu_ranks *r)
{
    if (r->forward_told)
        return;
    r->forward_told = true;
    if (det_learner_rounds(r->learner))
        start_ranges(r);
    if (!learns_moving(r))
        return;
    if (r->learner->batches_done == 0)
        det_moving_take(&r->learner->graph, r->learner->params, r->moving);
    if (r->statistics != NULL) {
        add_statistics(r);
        return;
    }
    det_net_batch_statistics(r->net, det_reduction_values(r->reduction, r->moving_vector));
    note(r, det_reduction_start(r->env, r->reduction, r->moving_vector, r->moving));
}

void det_cpu_ranks_forward_done(struct det_cpu_ranks *r)
{
    tell_forward(r);
}

det_status det_cpu_ranks_normalizer(struct det_cpu_ranks *r, const struct det_targets *targets,
                                    double *normalizer)
{
    const struct det_learner_settings *s = &r->learner->settings;
    double sum = 0;
    *normalizer = 0;
    if (!s->sync_batch_norm)
        return DET_OK;
    DET_TRY_RETURN(det_ranks_gather(r->env, r->communicator, &targets->box_weight_sum, r->matched,
                                    sizeof sum));
    for (int32_t i = 0; i < r->size; i++)
        sum += r->matched[i];
    *normalizer = (s->loss.normalize_loss_by_num_matches && sum > 1 ? sum : 1) / r->size;
    return DET_OK;
}

static void pack(const struct det_cpu_ranks *r, int32_t bucket, float *values)
{
    const struct det_learner *l = r->learner;
    for (int32_t i = r->buckets[bucket].first; i < r->buckets[bucket].end; i++) {
        const struct det_param *param = &l->graph.params[r->params[i]];
        r->finish(r->user, r->params[i]);
        memcpy(values, l->gradients + param->offset, param->count * sizeof *values);
        values += param->count;
    }
}

static void unpack(const struct det_cpu_ranks *r, int32_t bucket, const float *values)
{
    const struct det_learner *l = r->learner;
    for (int32_t i = r->buckets[bucket].first; i < r->buckets[bucket].end; i++) {
        const struct det_param *param = &l->graph.params[r->params[i]];
        memcpy(l->gradients + param->offset, values, param->count * sizeof *values);
        values += param->count;
    }
}

static void start_next_bucket(struct det_cpu_ranks *r)
{
    const int32_t bucket = r->started++;
    if (r->status != DET_OK)
        return;
    pack(r, bucket, det_reduction_values(r->reduction, bucket));
    note(r, det_reduction_start(r->env, r->reduction, bucket, NULL));
}

void det_cpu_ranks_passed(struct det_cpu_ranks *r, int32_t op)
{
    while (r->started < r->bucket_count && r->buckets[r->started].op >= op)
        start_next_bucket(r);
    if (r->status == DET_OK)
        note(r, det_reduction_progress(r->env, r->reduction));
}

/* --- what all ranks have --- */

static uint64_t checksum(const struct det_learner *l)
{
    if (!det_ranks_compare_weights(l->updates, l->batches_done))
        return 0;
    return (uint64_t)det_crc32c(0, l->params, l->graph.param_floats * sizeof *l->params) + 1;
}

/* Figures of all ranks, if they have met; the status is the first one's that failed. */
static det_status exchange_figures(struct det_cpu_ranks *r, det_status mine,
                                   const struct det_step_result *result, bool *met)
{
    const uint64_t spent_ns = det_clock_ns() - r->begin_ns;
    struct det_rank_figures own = det_rank_figures_of(result);
    own.seconds = (double)spent_ns * 1e-9 + r->learner->data_wait_seconds;
    own.status = (int64_t)mine;
    own.weights = checksum(r->learner);
    DET_TRY_RETURN(det_ranks_gather(r->env, r->communicator, &own, r->figures, sizeof own));
    *met = true;
    for (int32_t i = 0; i < r->size; i++)
        if (r->figures[i].status != DET_OK)
            return det_ranks_agree(r->env, r->communicator, mine);
    return det_rank_figures_compare(r->env, r->communicator, r->figures);
}

/* As accumulate() of cpu_step.c, batch after batch, rank after rank. */
static void add_figures(struct det_cpu_ranks *r)
{
    struct det_step_result *sum = &r->so_far;
    const struct det_learner *l = r->learner;
    const double share = 1.0 / ((double)l->settings.accumulate * (double)r->size);
    if (l->batches_done == 0)
        *sum = (struct det_step_result){0};
    det_rank_figures_add(r->figures, r->size, share, sum);
    sum->rank_seconds =
        det_rank_figures_add_seconds(r->figures, r->size, l->batches_done == 0, r->seconds);
}

static void take_gradients(struct det_cpu_ranks *r)
{
    const struct det_learner *l = r->learner;
    double squares = 0;
    for (int32_t b = 0; b < r->bucket_count; b++)
        unpack(r, b, det_reduction_values(r->reduction, b));
    for (int32_t p = 0; p < l->graph.param_count; p++) {
        const struct det_param *param = &l->graph.params[p];
        if (l->trainable[p])
            squares += det_sum_of_squares(r->pool, l->gradients + param->offset, param->count);
    }
    r->so_far.gradient_norm = sqrt(squares);
}

det_status det_cpu_ranks_join(struct det_cpu_ranks *r, det_status mine,
                              struct det_step_result *result)
{
    struct det_learner *l = r->learner;
    const bool last = l->batches_done + 1 == l->settings.accumulate;
    if (mine != DET_OK && l->settings.sync_batch_norm && r->started == 0)
        return mine; /* the same on all ranks */
    tell_forward(r);
    while (r->started < r->bucket_count)
        start_next_bucket(r);
    DET_TRY_RETURN(r->status);
    const uint64_t begin_ns = det_clock_ns();
    bool met = false;
    const det_status status = exchange_figures(r, mine, result, &met);
    if (!met)
        return status;
    DET_TRY_RETURN(det_reduction_wait(r->env, r->reduction));
    DET_TRY_RETURN(status);
    add_figures(r);
    r->so_far.rank_wait_seconds += (double)(det_clock_ns() - begin_ns) * 1e-9;
    *result = r->so_far;
    if (!last)
        return DET_OK;
    take_gradients(r);
    *result = r->so_far;
    if (det_learner_rounds(l))
        det_act_ranges_put(&l->ranges, det_reduction_values(r->reduction, r->ranges_vector));
    else if (learns_moving(r))
        det_moving_put(&l->graph,
                       r->statistics != NULL ? r->moving
                                             : det_reduction_values(r->reduction, r->moving_vector),
                       l->params);
    return DET_OK;
}
