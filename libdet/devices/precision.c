#include "devices/precision.h"

det_status det_precision_runs(struct det_env *env, enum det_precision precision,
                              const struct det_quantised *quantised)
{
    if (precision == DET_PRECISION_INT8 && quantised == NULL)
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT,
            "precision int8: the model is in float32; det-export --precision int8 makes "
            "one in 8 bits of it");
    return DET_OK;
}

det_status det_precision_trains(struct det_env *env, enum det_precision precision)
{
    if (precision == DET_PRECISION_INT8)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "precision int8: networks are trained in f32 or bf16");
    return DET_OK;
}
