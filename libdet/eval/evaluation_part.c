#include "eval/evaluation_part.h"

#include <math.h>

#include "data/loader.h"
#include "devices/backend.h"
#include "devices/context.h"
#include "eval/evaluation_tiles.h"
#include "export/player.h"
#include "model/from_config.h"
#include "model/inference.h"
#include "model/model.h"
#include "model/spec_anchors.h"
#include "ranks/communicator.h"
#include "support/mem.h"

struct det_evaluation_part {
    det_context *context;
    struct det_evaluation_part_settings settings;
    struct det_loader *loader;
    struct det_batch staged; /* its count is 0 behind the last */
    struct det_inference inference;
    const struct det_backend *backend;
    struct det_runner *runner;
    struct det_targets *targets;
    struct det_losses *losses;
    struct det_evaluation_found found;
    /* NULL, both: what the runner finds is evaluated */
    struct det_evaluation_tiles *tiles;
    struct det_export_player *player;
    struct det_image image; /* of the player */
    struct det_ground_truth truth;
};

static det_status start_loader(struct det_evaluation_part *p)
{
    const struct det_evaluation_part_settings *s = &p->settings;
    const det_communicator *communicator = s->evaluation->communicator;
    struct det_loader_settings loading = {
        .dataset = s->dataset,
        .batch_size = 1,
        .first_sample = (uint64_t)det_communicator_rank(communicator),
        .stride = det_communicator_size(communicator),
        .end_sample = (uint64_t)s->images,
        .ring = 8,
        .held = p->backend->stages_ahead ? 2 : 1,
    };
    det_config_resize(s->config, &s->model->spec, &loading);
    return det_loader_create(&p->context->env, &loading, &p->loader);
}

static det_status open_network(struct det_evaluation_part *p)
{
    struct det_env *env = &p->context->env;
    const det_evaluation_settings *evaluation = p->settings.evaluation;
    const det_model *model = p->settings.model;
    const struct det_model_spec *spec = &model->spec;
    /* As the API evaluates: see DET_NET_EVALUATE. */
    const bool as_api = det_evaluation_forms_differ(model) && !evaluation->as_exported &&
                        evaluation->tiles == NULL && evaluation->exported == NULL;
    struct det_inference *inference = &p->inference;
    DET_TRY_RETURN(det_inference_open(
        env, model, spec, as_api ? DET_INFERENCE_AS_IT_IS : DET_INFERENCE_FOLDED, inference));
    const float(*anchors)[4] = (const float(*)[4])inference->anchors;
    const struct det_runner_settings running = {
        .spec = spec,
        .graph = inference->graph,
        .params = inference->params,
        .quantised = inference->quantised,
        .evaluate = true,
        .batch = 1,
        .postprocess = &inference->postprocess,
        .anchors = anchors,
        .anchor_count = inference->anchor_count,
    };
    DET_TRY_RETURN(p->backend->runner_create(env, det_context_compute(p->context)->device, &running,
                                             &p->runner));
    struct det_target_settings targets;
    struct det_loss_settings loss;
    det_loss_settings_from_config(p->settings.config, &targets, &loss);
    DET_TRY_RETURN(det_targets_create(env, &targets, anchors, inference->anchor_count,
                                      spec->num_classes, 1, &p->targets));
    return det_losses_create(env, &loss, 1, inference->anchor_count, spec->num_classes, &p->losses);
}

/* Which part of the network's frame an image fills. */
static void window_of(const struct det_model_spec *spec, const struct det_batch *batch,
                      float window[4])
{
    window[0] = window[1] = 0;
    window[2] = window[3] = 1;
    if (spec->resize_mode != DET_RESIZE_KEEP_ASPECT)
        return;
    int32_t scaled_height, scaled_width;
    det_keep_aspect_size(batch->original_size[0][0], batch->original_size[0][1],
                         spec->min_dimension, spec->max_dimension, &scaled_height, &scaled_width);
    window[2] = (float)scaled_height / (float)batch->height;
    window[3] = (float)scaled_width / (float)batch->width;
}

/* The next image to the runner. */
static det_status stage_next(struct det_evaluation_part *p)
{
    struct det_env *env = &p->context->env;
    struct det_batch *next = &p->staged;
    float window[1][4];
    const det_status status = det_loader_next(env, p->loader, next);
    if (status != DET_OK)
        return det_forgive(env, status, DET_STATUS_FINISHED);
    window_of(&p->settings.model->spec, next, window[0]);
    return p->backend->runner_set_images(env, p->runner, next->images, next->height, next->width,
                                         (const float(*)[4])window);
}

/* Runs what is staged; where the device can, the next image is staged while it works. */
static det_status run_staged(struct det_evaluation_part *p)
{
    struct det_env *env = &p->context->env;
    DET_TRY_RETURN(p->backend->runner_begin(env, p->runner));
    const det_status staged = p->backend->stages_ahead ? stage_next(p) : DET_OK;
    DET_TRY_RETURN(p->backend->runner_end(env, p->runner));
    return staged;
}

/* The objects' boxes go from the padded frame of the network back to the image's own. */
static det_status take_truth(struct det_evaluation_part *p, const struct det_batch *batch)
{
    struct det_ground_truth *truth = &p->found.truth;
    float window[4];
    window_of(&p->settings.model->spec, batch, window);
    DET_TRY_RETURN(det_ground_truth_copy(&p->context->env, truth, &batch->truths[0]));
    for (int32_t g = 0; g < truth->count; g++)
        for (int c = 0; c < 4; c++)
            truth->boxes[g][c] /= window[2 + c % 2];
    return DET_OK;
}

static det_status take_losses(struct det_evaluation_part *p, const struct det_batch *batch)
{
    struct det_env *env = &p->context->env;
    struct det_pool *pool = p->context->pool;
    const float *logits = NULL, *encodings = NULL;
    struct det_loss_values values;
    DET_TRY_RETURN(p->backend->runner_outputs(env, p->runner, &logits, &encodings));
    DET_TRY_RETURN(det_targets_assign(env, p->targets, pool, batch->truths, 1));
    DET_TRY_RETURN(det_losses_compute(env, p->losses, pool, p->targets, logits, encodings, &values,
                                      NULL, NULL));
    if (!isfinite(values.localization) || !isfinite(values.classification)) {
        char name[512];
        return det_fail(
            env, DET_STATUS_NON_FINITE, "%s: the loss is not finite: broken weights?",
            det_dataset_name(p->settings.dataset, (size_t)batch->record_index[0], name));
    }
    p->found.localization = values.localization;
    p->found.classification = values.classification;
    return DET_OK;
}

/* By the tiles, the exported files, or the runner. */
static det_status detect(struct det_evaluation_part *p, size_t image,
                         const struct det_detections **found)
{
    struct det_env *env = &p->context->env;
    const struct det_dataset *dataset = p->settings.dataset;
    if (p->tiles != NULL)
        return det_evaluation_tiles_run(env, p->tiles, dataset, image, found);
    if (p->player == NULL)
        return p->backend->runner_detections(env, p->runner, 0, found);
    DET_TRY_RETURN(det_dataset_load(env, dataset, image, &p->image, &p->truth));
    return det_export_player_run(env, p->player, &p->image, found);
}

static det_status open_part(struct det_evaluation_part *p)
{
    struct det_env *env = &p->context->env;
    const det_evaluation_settings *s = p->settings.evaluation;
    const det_model *model = p->settings.model;
    DET_TRY_RETURN(start_loader(p));
    DET_TRY_RETURN(open_network(p));
    if (s->tiles != NULL)
        DET_TRY_RETURN(det_evaluation_tiles_create(p->context, model, s->tiles, &p->tiles));
    if (s->exported != NULL && det_export_is_program(s->exported))
        DET_TRY_RETURN(
            det_export_player_create(env, p->context->pool, s->exported, model, &p->player));
    return p->backend->stages_ahead ? stage_next(p) : DET_OK;
}

det_status det_evaluation_part_open(det_context *context,
                                    const struct det_evaluation_part_settings *settings,
                                    struct det_evaluation_part **out)
{
    struct det_env *env = &context->env;
    struct det_evaluation_part *p = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &p, 1, sizeof *p, "evaluation"));
    p->context = context;
    p->settings = *settings;
    p->backend = det_context_compute(context)->backend;
    const det_status status = open_part(p);
    if (status != DET_OK)
        det_evaluation_part_close(env, &p);
    *out = p;
    return status;
}

void det_evaluation_part_close(struct det_env *env, struct det_evaluation_part **out)
{
    struct det_evaluation_part *p = *out;
    if (p == NULL)
        return;
    det_evaluation_tiles_destroy(env, &p->tiles);
    det_export_player_destroy(env, &p->player);
    det_image_free(env, &p->image);
    det_ground_truth_free(env, &p->truth);
    det_ground_truth_free(env, &p->found.truth);
    det_loader_destroy(env, &p->loader);
    if (p->runner != NULL)
        p->backend->runner_destroy(env, &p->runner);
    det_targets_destroy(env, &p->targets);
    det_losses_destroy(env, &p->losses);
    det_inference_close(env, &p->inference);
    det_free(env, out);
}

det_status det_evaluation_part_next(struct det_evaluation_part *p,
                                    const struct det_evaluation_found **found)
{
    const struct det_detections *detections = NULL;
    *found = NULL;
    if (!p->backend->stages_ahead)
        DET_TRY_RETURN(stage_next(p));
    const struct det_batch batch = p->staged;
    if (batch.count == 0)
        return DET_OK;
    DET_TRY_RETURN(run_staged(p));
    p->found.image = batch.record_index[0];
    p->found.height = batch.original_size[0][0];
    p->found.width = batch.original_size[0][1];
    DET_TRY_RETURN(take_truth(p, &batch));
    DET_TRY_RETURN(take_losses(p, &batch));
    DET_TRY_RETURN(detect(p, (size_t)p->found.image, &detections));
    p->found.detections = *detections;
    *found = &p->found;
    return DET_OK;
}
