#include "model/population.h"

#include <math.h>

#include "support/mem.h"

det_status det_population_create(struct det_env *env, const struct det_graph *graph,
                                 struct det_population *population)
{
    const size_t count = graph->param_floats;
    det_status status = DET_OK;
    *population = (struct det_population){.graph = graph};
    DET_TRY(det_alloc(env, &population->means, count, sizeof(double), "batch statistics"));
    DET_TRY(det_alloc(env, &population->variances, count, sizeof(double), "batch statistics"));
    DET_TRY(det_alloc(env, &population->squares, count, sizeof(double), "batch statistics"));
    return DET_OK;
fail:
    det_population_free(env, population);
    return status;
}

void det_population_free(struct det_env *env, struct det_population *population)
{
    det_free(env, &population->means);
    det_free(env, &population->variances);
    det_free(env, &population->squares);
}

void det_population_count_batch(struct det_population *population)
{
    population->batches++;
}

/* Welford's update: no difference of large sums. */
void det_population_add(struct det_population *population, const struct det_op *op,
                        const float *mean, const float *variance)
{
    const struct det_param *param = &population->graph->params[op->mean];
    const double share = 1.0 / (double)population->batches;
    double *means = population->means + param->offset;
    double *variances = population->variances + param->offset;
    double *squares = population->squares + param->offset;
    for (size_t c = 0; c < param->count; c++) {
        const double off = mean[c] - means[c];
        means[c] += off * share;
        squares[c] += off * (mean[c] - means[c]);
        variances[c] += (variance[c] - variances[c]) * share;
    }
}

det_status det_population_store(struct det_env *env, const struct det_population *population,
                                float *params)
{
    const struct det_graph *graph = population->graph;
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind != DET_OP_BATCH_NORM)
            continue;
        const struct det_param *param = &graph->params[op->mean];
        float *means = params + param->offset;
        float *variances = params + graph->params[op->variance].offset;
        for (size_t c = 0; c < param->count; c++) {
            const size_t at = param->offset + c;
            means[c] = (float)population->means[at];
            variances[c] = (float)(population->variances[at] +
                                   population->squares[at] / (double)population->batches);
            if (!isfinite(means[c]) || !isfinite(variances[c]))
                return det_fail(env, DET_STATUS_NON_FINITE,
                                "%s: channel %zu has mean %g and variance %g over %lld batches",
                                op->name, c, (double)means[c], (double)variances[c],
                                (long long)population->batches);
        }
    }
    return DET_OK;
}
