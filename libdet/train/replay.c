#include "train/replay.h"

#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "det/trainer.h"
#include "devices/context.h"
#include "formats/weights.h"
#include "model/from_config.h"
#include "support/mem.h"

#define IMAGES  "/.REPLAY/images"
#define BOXES   "/.REPLAY/boxes"
#define OBJECTS "/.REPLAY/objects"

/* --- writing --- */

struct tables {
    float (*boxes)[4], (*objects)[3];
    int64_t count;
};

static det_status fill_tables(struct det_env *env, const struct det_batch *batch,
                              struct tables *tables)
{
    for (int32_t n = 0; n < batch->count; n++)
        tables->count += batch->truths[n].count;
    DET_TRY_RETURN(det_alloc(env, &tables->boxes, (size_t)tables->count + 1, sizeof *tables->boxes,
                             "boxes of a batch"));
    DET_TRY_RETURN(det_alloc(env, &tables->objects, (size_t)tables->count + 1,
                             sizeof *tables->objects, "objects of a batch"));
    size_t at = 0;
    for (int32_t n = 0; n < batch->count; n++) {
        const struct det_ground_truth *truth = &batch->truths[n];
        for (int32_t g = 0; g < truth->count; g++, at++) {
            memcpy(tables->boxes[at], truth->boxes[g], sizeof tables->boxes[at]);
            tables->objects[at][0] = (float)n;
            tables->objects[at][1] = (float)truth->class_index[g];
            tables->objects[at][2] = truth->weight[g];
        }
    }
    return DET_OK;
}

det_status det_replay_write(struct det_env *env, const char *path,
                            const struct det_learner *learner, const char *const *class_names,
                            const struct det_checkpoint_state *state, const struct det_batch *batch)
{
    struct tables tables = {0};
    const size_t values = (size_t)batch->height * (size_t)batch->width * 3;
    float *images = NULL;
    det_status status = DET_OK;
    DET_TRY(fill_tables(env, batch, &tables));
    DET_TRY(det_alloc_raw(env, &images, (size_t)batch->count * values, sizeof *images,
                          "images of a batch"));
    for (int32_t n = 0; n < batch->count; n++)
        DET_TRY(det_batch_image(env, batch, n, images + (size_t)n * values));
    /* A row of NaN stands for no object: files have no tensors without values. */
    const int64_t rows = tables.count > 0 ? tables.count : 1;
    for (int c = 0; c < 3 && tables.count == 0; c++)
        tables.objects[0][c] = NAN;
    const int64_t image_shape[4] = {batch->count, batch->height, batch->width, 3};
    const int64_t box_shape[2] = {rows, 4}, object_shape[2] = {rows, 3};
    const struct det_checkpoint_extra extra[] = {
        {IMAGES, image_shape, 4, images},
        {BOXES, box_shape, 2, tables.boxes[0]},
        {OBJECTS, object_shape, 2, tables.objects[0]},
    };
    DET_TRY(det_checkpoint_write(env, path, learner, class_names, state, extra, 3));
fail:
    det_free(env, &images);
    det_free(env, &tables.boxes);
    det_free(env, &tables.objects);
    return status;
}

/* --- reading --- */

void det_replay_free(struct det_env *env, struct det_replay *replay)
{
    for (int32_t n = 0; n < replay->count && replay->truths != NULL; n++)
        det_ground_truth_free(env, &replay->truths[n]);
    det_free(env, &replay->truths);
    det_free(env, &replay->images);
    *replay = (struct det_replay){0};
}

static det_status add_object(struct det_env *env, const char *path, struct det_replay *replay,
                             const float box[4], const float object[3])
{
    if (isnan(object[0]))
        return DET_OK;
    if (!(object[0] >= 0 && object[0] < (float)replay->count) ||
        !(object[1] >= 0 && object[1] < 1e6f))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: an object of class %g in image %g of %d",
                        path, (double)object[1], (double)object[0], (int)replay->count);
    struct det_ground_truth *truth = &replay->truths[(int32_t)object[0]];
    const int32_t at = truth->count;
    DET_TRY_RETURN(det_ground_truth_reserve(env, truth, at + 1));
    memcpy(truth->boxes[at], box, 4 * sizeof *box);
    truth->class_index[at] = (int32_t)object[1];
    truth->weight[at] = object[2];
    truth->count = at + 1;
    return DET_OK;
}

static det_status read_batch(struct det_env *env, const struct det_weights *file,
                             struct det_replay *replay)
{
    const char *path = det_weights_path(file);
    const struct det_weights_tensor *images = det_weights_find(file, IMAGES);
    const struct det_weights_tensor *boxes = det_weights_find(file, BOXES);
    const struct det_weights_tensor *objects = det_weights_find(file, OBJECTS);
    if (images == NULL || boxes == NULL || objects == NULL)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: is no replay file: there is no batch in it",
                        path);
    if (images->dims != 4 || images->dtype != DET_WEIGHTS_F32 || images->shape[3] != 3 ||
        images->shape[0] > 65536 || images->shape[1] > 65536 || images->shape[2] > 65536 ||
        boxes->dims != 2 || boxes->dtype != DET_WEIGHTS_F32 || boxes->shape[1] != 4 ||
        objects->dims != 2 || objects->dtype != DET_WEIGHTS_F32 || objects->shape[1] != 3 ||
        boxes->shape[0] != objects->shape[0])
        return det_fail(env, DET_STATUS_CORRUPT, "%s: the batch's tensors have other shapes", path);
    const int32_t count = (int32_t)images->shape[0];
    replay->height = (int32_t)images->shape[1];
    replay->width = (int32_t)images->shape[2];
    DET_TRY_RETURN(
        det_alloc_raw(env, &replay->images, images->count, sizeof(float), "images of a batch"));
    memcpy(replay->images, images->data, images->bytes);
    DET_TRY_RETURN(det_alloc(env, &replay->truths, (size_t)count, sizeof *replay->truths, "batch"));
    replay->count = count;
    for (int64_t i = 0; i < boxes->shape[0]; i++)
        DET_TRY_RETURN(add_object(env, path, replay, (const float *)boxes->data + i * 4,
                                  (const float *)objects->data + i * 3));
    return DET_OK;
}

det_status det_replay_read(struct det_env *env, const char *path, struct det_replay *replay)
{
    struct det_weights *file = NULL;
    *replay = (struct det_replay){0};
    DET_TRY_RETURN(det_weights_open(env, path, true, &file));
    const det_status status = read_batch(env, file, replay);
    det_weights_close(env, &file);
    if (status != DET_OK)
        det_replay_free(env, replay);
    return status;
}

/* --- replaying --- */

static det_status check_size(struct det_env *env, const char *path, const struct det_replay *replay,
                             const struct det_model_spec *spec)
{
    if (replay->height == spec->input_height && replay->width == spec->input_width)
        return DET_OK;
    return det_fail(
        env, DET_STATUS_MISMATCH, "%s: images of %d x %d, the config's network takes %d x %d", path,
        (int)replay->width, (int)replay->height, (int)spec->input_width, (int)spec->input_height);
}

static void report_of(const struct det_step_result *result,
                      const struct det_checkpoint_state *state, int32_t images,
                      det_step_report *report)
{
    *report = (det_step_report){
        .step = state->step + 1,
        .localization_loss = result->localization_loss,
        .classification_loss = result->classification_loss,
        .regularization_loss = result->regularization_loss,
        .total_loss = result->total_loss,
        .gradient_norm = result->gradient_norm,
        .images = images,
    };
}

det_status det_trainer_replay(det_context *context, const det_pipeline_config *config,
                              const char *path, det_step_report *report)
{
    struct det_env *env = det_context_env(context);
    det_step_report made = {0};
    struct det_model_spec spec;
    struct det_learner_settings settings;
    struct det_learner *learner = NULL;
    const struct det_compute *compute = det_context_compute(context);
    struct det_checkpoint_state state = {0};
    struct det_replay replay = {0};
    struct det_step_result result = {0};
    det_status status = DET_OK;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, path);
    DET_NEED_REPORT(env, det_step_report, report);
    const struct det_budget before = det_budget_open(env, path);
    DET_TRY(det_spec_from_config(env, config, &spec));
    DET_TRY(det_learner_settings_from_config(env, config, &settings));
    DET_TRY(det_replay_read(env, path, &replay));
    DET_TRY(check_size(env, path, &replay, &spec));
    settings.batch_size = replay.count;
    DET_TRY(
        det_learner_create(env, &spec, &settings, compute->backend, compute->device, 1, &learner));
    DET_TRY(det_checkpoint_load_any(env, path, learner, &state));
    DET_TRY(det_learner_push(env, learner));
    status = det_learner_gradients(env, learner, replay.images, replay.truths, &result);
    report_of(&result, &state, replay.count, &made);
    if (status != DET_OK)
        det_fail_prefix(env, status, "step %lld", (long long)state.step + 1);
fail:
    det_fill_report(report, &made, sizeof made);
    det_budget_close(env, before);
    det_learner_destroy(env, &learner);
    det_replay_free(env, &replay);
    return status;
}
