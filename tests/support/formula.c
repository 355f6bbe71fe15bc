#include "support/formula.h"

#include <math.h>

#include "support/test.h"

void formula_spec(struct det_model_spec *spec, int32_t side, int32_t classes)
{
    det_model_spec_default(spec, side, classes);
    spec->depth_multiplier = 0.1f;
    spec->min_depth = 8;
    spec->fpn_depth = spec->head_depth = 16;
    spec->head_layers = 1;
}

void formula_params(const struct det_graph *graph, float *params)
{
    det_graph_init_params(graph, 0, params);
    for (int32_t p = 0; p < graph->param_count; p++) {
        const struct det_param *param = &graph->params[p];
        if (!param->stored)
            continue;
        double scale = 0.1, offset = 0;
        switch (param->role) {
        case DET_PARAM_GAMMA:
            offset = 1;
            break;
        case DET_PARAM_MOVING_VARIANCE:
            offset = 1;
            scale = 0.2;
            break;
        case DET_PARAM_BIAS:
            offset = strstr(param->key, "class_predictions") != NULL ? -4.6 : 0;
            break;
        case DET_PARAM_BETA:
        case DET_PARAM_MOVING_MEAN:
            break;
        case DET_PARAM_DEPTHWISE:
            scale = sqrt(0.5);
            break;
        case DET_PARAM_KERNEL:
        case DET_PARAM_POINTWISE: {
            const bool small = strstr(param->key, "Predictor") != NULL ||
                               strstr(param->key, "_layers/0/pointwise") != NULL;
            const double fan_in = (double)param->shape[0] * param->shape[1] * param->shape[2];
            scale = sqrt(3 * (small ? 0.1 : 1.0) / fan_in);
            break;
        }
        }
        float *values = params + param->offset;
        for (size_t i = 0; i < param->count; i++)
            values[i] = (float)(offset + scale * test_formula(param->key, i));
    }
}

void formula_image(int k, int32_t height, int32_t width, float *image)
{
    char key[32];
    snprintf(key, sizeof key, "image/%d", k);
    const size_t count = (size_t)height * (size_t)width * 3;
    for (size_t i = 0; i < count; i++)
        image[i] = (float)(uint8_t)((test_formula(key, i) + 1) * 127.5);
}
