#include "model/regularization.h"

#include "model/optimizer.h"

double det_regularization_loss(const struct det_graph *graph, struct det_pool *pool,
                               const float *params)
{
    double sum = 0;
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (param->l2 > 0)
            sum += det_l2_loss(pool, params + param->offset, param->count, param->l2);
    }
    return sum;
}
