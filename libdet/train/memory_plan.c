#include "train/memory_plan.h"

#include "devices/backend.h"
#include "devices/context.h"
#include "model/fold.h"
#include "ranks/communicator.h"
#include "support/memory_limit.h"

#define MB (1024.0 * 1024.0)

size_t det_memory_total(const det_trainer_memory *memory)
{
    return memory->parameters_bytes + memory->activations_bytes + memory->loader_bytes;
}

static size_t limit_of(const struct det_memory_question *question)
{
    return question->limit_bytes > 0 ? question->limit_bytes : det_memory_available();
}

void det_memory_log(const struct det_trainer *trainer, int32_t batch_size)
{
    const det_trainer_memory *memory = &trainer->memory;
    det_log(trainer->env, DET_LOG_INFO,
            "memory for batch %d: %zu bytes = %.1f MB (parameters and optimizer %.1f, activations "
            "%.1f, loader %.1f)",
            (int)batch_size, det_memory_total(memory), (double)det_memory_total(memory) / MB,
            (double)memory->parameters_bytes / MB, (double)memory->activations_bytes / MB,
            (double)memory->loader_bytes / MB);
}

static det_status plan(det_context *context, const struct det_memory_question *question,
                       const struct det_graph *graph, int32_t batch_size,
                       det_trainer_memory *memory)
{
    const struct det_compute *compute = det_context_compute(context);
    const struct det_learner_settings *learner = question->learner;
    struct det_loader_settings loader = *question->loader;
    /* Values, gradients, their sums, those on their way to other ranks and from them, the
     * optimizer's state, averages. */
    const size_t blocks = 2u + (learner->accumulate > 1 ? 1u : 0u) +
                          (det_ranks_are_many(learner->communicator) ? 2u : 0u) +
                          (learner->rule == DET_UPDATE_MOMENTUM ? 1u : 2u) +
                          (learner->average_decay > 0 ? 1u : 0u);
    loader.batch_size = batch_size;
    memory->parameters_bytes = graph->param_floats * sizeof(float) * blocks;
    memory->loader_bytes = det_loader_ring_bytes(&loader);
    memory->activations_bytes = 0;
    if (compute->backend != det_backend_cpu())
        return DET_OK; /* the device says when it has planned */
    struct det_env *env = det_context_env(context);
    const int threads = det_context_threads(context);
    DET_TRY_RETURN(det_net_memory_bytes(env, graph, compute->ops, threads, batch_size,
                                        question->spec->freeze_batchnorm ? DET_NET_TRAIN_FROZEN
                                                                         : DET_NET_TRAIN,
                                        &memory->activations_bytes));
    return learner->quantise ? det_fold_widen_bytes(env, question->spec, compute->ops, threads,
                                                    batch_size, &memory->activations_bytes)
                             : DET_OK;
}

det_status det_memory_plan(det_context *context, const struct det_memory_question *question,
                           int32_t batch_size, det_trainer_memory *memory)
{
    struct det_env *env = det_context_env(context);
    struct det_graph graph = {0};
    DET_TRY_RETURN(det_graph_build(env, question->spec, false, &graph));
    const det_status status = plan(context, question, &graph, batch_size, memory);
    det_graph_free(env, &graph);
    return status;
}

/* The largest batch below `too_large` within the limit; memory grows with the batch. 0: none. */
static det_status largest_batch(const struct det_trainer *trainer,
                                const struct det_memory_question *question,
                                const struct det_graph *graph, size_t limit, int32_t too_large,
                                int32_t *batch_size)
{
    int32_t fits = 0;
    while (too_large - fits > 1) {
        const int32_t middle = fits + (too_large - fits) / 2;
        det_trainer_memory memory;
        DET_TRY_RETURN(plan(trainer->context, question, graph, middle, &memory));
        if (det_memory_total(&memory) <= limit)
            fits = middle;
        else
            too_large = middle;
    }
    *batch_size = fits;
    return DET_OK;
}

static det_status refuse(struct det_trainer *trainer, const struct det_memory_question *question,
                         size_t limit, int32_t batch_size)
{
    struct det_env *env = trainer->env;
    struct det_graph graph = {0};
    int32_t fits = 0;
    DET_TRY_RETURN(det_graph_build(env, question->spec, false, &graph));
    const det_status status = largest_batch(trainer, question, &graph, limit, batch_size, &fits);
    det_graph_free(env, &graph);
    DET_TRY_RETURN(status);
    if (fits == 0)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                        "training needs %.1f MB for a batch of %d, %.1f MB are available, and not "
                        "even one image fits",
                        (double)det_memory_total(&trainer->memory) / MB, (int)batch_size,
                        (double)limit / MB);
    return det_fail(env, DET_STATUS_OUT_OF_MEMORY,
                    "training needs %.1f MB for a batch of %d, %.1f MB are available: the largest "
                    "batch that fits is %d",
                    (double)det_memory_total(&trainer->memory) / MB, (int)batch_size,
                    (double)limit / MB, (int)fits);
}

det_status det_memory_check(struct det_trainer *trainer, const struct det_memory_question *question,
                            int32_t batch_size)
{
    const size_t limit = limit_of(question);
    DET_TRY_RETURN(det_memory_plan(trainer->context, question, batch_size, &trainer->memory));
    if (det_context_compute(trainer->context)->backend != det_backend_cpu())
        return DET_OK;
    det_memory_log(trainer, batch_size);
    return det_memory_total(&trainer->memory) <= limit
               ? DET_OK
               : refuse(trainer, question, limit, batch_size);
}

det_status det_memory_choose_batch(struct det_trainer *trainer,
                                   const struct det_memory_question *question, int32_t *batch_size)
{
    const size_t limit = limit_of(question) / 5 * 4;
    for (int32_t batch = DET_BATCH_AUTO_MOST; batch >= 1; batch /= 2) {
        det_trainer_memory memory;
        if ((size_t)batch > trainer->dataset.count && batch > 1)
            continue;
        DET_TRY_RETURN(det_memory_plan(trainer->context, question, batch, &memory));
        *batch_size = batch;
        if (det_memory_total(&memory) <= limit)
            return DET_OK;
        trainer->memory = memory;
    }
    return det_fail(trainer->env, DET_STATUS_OUT_OF_MEMORY,
                    "training needs %.1f MB for one image, %.1f MB are available and four fifths "
                    "of that may be taken",
                    (double)det_memory_total(&trainer->memory) / MB, (double)limit / MB * 1.25);
}
