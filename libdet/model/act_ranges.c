#include "model/act_ranges.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

#define MIN     ".TRAINED/act_quant/min"
#define MAX     ".TRAINED/act_quant/max"
#define UPDATES ".TRAINED/act_quant/updates"

static det_status allocate(struct det_env *env, int32_t count, struct det_act_ranges *ranges)
{
    det_status status = DET_OK;
    *ranges = (struct det_act_ranges){.count = count};
    DET_TRY(det_alloc(env, &ranges->low, (size_t)count, sizeof *ranges->low, "ranges"));
    DET_TRY(det_alloc(env, &ranges->high, (size_t)count, sizeof *ranges->high, "ranges"));
fail:
    if (status != DET_OK)
        det_act_ranges_free(env, ranges);
    return status;
}

det_status det_act_ranges_create(struct det_env *env, const struct det_model_spec *spec,
                                 struct det_act_ranges *ranges)
{
    struct det_graph folded = {0};
    *ranges = (struct det_act_ranges){0};
    DET_TRY_RETURN(det_graph_build(env, spec, true, &folded));
    const int32_t count = folded.tensor_count;
    det_graph_free(env, &folded);
    return allocate(env, count, ranges);
}

void det_act_ranges_put(struct det_act_ranges *ranges, const float *values)
{
    const size_t count = (size_t)ranges->count;
    memcpy(ranges->low, values, count * sizeof *values);
    memcpy(ranges->high, values + count, count * sizeof *values);
    ranges->updates++;
}

void det_act_ranges_free(struct det_env *env, struct det_act_ranges *ranges)
{
    det_free(env, &ranges->low);
    det_free(env, &ranges->high);
    *ranges = (struct det_act_ranges){0};
}

det_status det_act_ranges_copy(struct det_env *env, const struct det_act_ranges *from,
                               struct det_act_ranges *copy)
{
    DET_TRY_RETURN(allocate(env, from->count, copy));
    memcpy(copy->low, from->low, (size_t)from->count * sizeof *copy->low);
    memcpy(copy->high, from->high, (size_t)from->count * sizeof *copy->high);
    copy->updates = from->updates;
    return DET_OK;
}

det_status det_act_ranges_add(struct det_env *env, struct det_weights_writer *writer,
                              const struct det_act_ranges *ranges)
{
    const int64_t shape = ranges->count, one = 1;
    DET_TRY_RETURN(
        det_weights_writer_add(env, writer, MIN, DET_WEIGHTS_F32, &shape, 1, ranges->low));
    DET_TRY_RETURN(
        det_weights_writer_add(env, writer, MAX, DET_WEIGHTS_F32, &shape, 1, ranges->high));
    return det_weights_writer_add(env, writer, UPDATES, DET_WEIGHTS_I64, &one, 1, &ranges->updates);
}

bool det_act_ranges_are_in(const struct det_weights *file)
{
    return det_weights_find(file, UPDATES) != NULL;
}

det_status det_act_ranges_read(struct det_env *env, const struct det_weights *file,
                               struct det_act_ranges *ranges)
{
    const struct det_weights_tensor *low = NULL, *high = NULL, *updates = NULL;
    const int64_t shape = ranges->count, one = 1;
    int64_t seen = 0;
    const char *path = det_weights_path(file);
    DET_TRY_RETURN(det_weights_require(env, file, MIN, DET_WEIGHTS_F32, &shape, 1, &low));
    DET_TRY_RETURN(det_weights_require(env, file, MAX, DET_WEIGHTS_F32, &shape, 1, &high));
    DET_TRY_RETURN(det_weights_require(env, file, UPDATES, DET_WEIGHTS_I64, &one, 1, &updates));
    const float *lows = low->data, *highs = high->data;
    memcpy(&seen, updates->data, sizeof seen);
    for (int32_t t = 0; t < ranges->count; t++) {
        if (!(isfinite(lows[t]) && isfinite(highs[t]) && lows[t] <= 0 && highs[t] >= 0))
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: range of tensor %d is %g to %g, expected finite numbers with 0 "
                            "between them",
                            path, t, (double)lows[t], (double)highs[t]);
    }
    if (seen < 1)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: ranges of %lld batches, expected 1 or more",
                        path, (long long)seen);
    memcpy(ranges->low, lows, low->bytes);
    memcpy(ranges->high, highs, high->bytes);
    ranges->updates = seen;
    return DET_OK;
}
