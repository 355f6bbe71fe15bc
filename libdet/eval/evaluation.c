/* evaluation.c: det/evaluation.h: a pass over the evaluation records: detections into the COCO
 * evaluator, losses on the side.
 *
 * Agrees with model_lib_v2.py eager_eval_loop() and metrics/coco_evaluation.py of the TF Object
 * Detection API: one image a batch, boxes scaled to pixels of the original image in float32, an
 * object's area from the record or else from its box, the mean of each image's losses. */
#include "det/evaluation.h"

#include <math.h>

#include "base/arguments.h"
#include "data/loader.h"
#include "data/tile_grid.h"
#include "devices/backend.h"
#include "devices/context.h"
#include "eval/evaluation_data.h"
#include "eval/evaluation_pictures.h"
#include "eval/evaluation_summary.h"
#include "eval/evaluation_tiles.h"
#include "eval/results_file.h"
#include "export/player.h"
#include "model/from_config.h"
#include "model/inference.h"
#include "model/learner_state.h"
#include "model/regularization.h"
#include "model/spec_anchors.h"
#include "support/mem.h"

struct det_evaluation {
    det_context *context;
    det_coco_evaluator *evaluator;
    const det_coco_result *coco;
    det_evaluation_losses losses;
};

/* What is needed only while evaluating. */
struct run {
    struct det_env *env;
    const struct det_pipeline_config *config;
    const det_model *model;
    struct det_evaluation_data data;
    struct det_loader *loader;
    struct det_inference inference;
    const struct det_backend *backend;
    struct det_runner *runner;
    struct det_targets *targets;
    struct det_losses *losses;
    double localization, classification;      /* sums over images */
    struct det_evaluation_pictures *pictures; /* NULL: none, or given up */
    /* NULL, both: what the runner finds is evaluated */
    struct det_evaluation_tiles *tiles;
    struct det_export_player *player;
    struct det_image image; /* of the player */
    struct det_ground_truth truth;
};

void det_evaluation_settings_init(det_evaluation_settings *settings, size_t struct_size)
{
    static const det_evaluation_settings defaults = {.pictures = 1};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

int det_evaluation_forms_differ(const det_model *model)
{
    return model != NULL && !model->graph.folded && !model->spec.freeze_batchnorm;
}

static void close_run(struct run *r)
{
    struct det_env *env = r->env;
    det_evaluation_pictures_destroy(env, &r->pictures);
    det_evaluation_tiles_destroy(env, &r->tiles);
    det_export_player_destroy(env, &r->player);
    det_image_free(env, &r->image);
    det_ground_truth_free(env, &r->truth);
    det_loader_destroy(env, &r->loader);
    det_evaluation_data_close(env, &r->data);
    if (r->runner != NULL)
        r->backend->runner_destroy(env, &r->runner);
    det_targets_destroy(env, &r->targets);
    det_losses_destroy(env, &r->losses);
    det_inference_close(env, &r->inference);
}

static det_status start_loader(struct run *r, const det_evaluation_settings *settings)
{
    uint64_t images = r->data.dataset.count;
    if (settings->max_images > 0 && (uint64_t)settings->max_images < images)
        images = (uint64_t)settings->max_images;
    struct det_loader_settings loading = {
        .dataset = &r->data.dataset,
        .batch_size = 1,
        .end_sample = images,
        .ring = 8,
        .held = r->backend->stages_ahead ? 2 : 1,
    };
    det_config_resize(r->config, &r->model->spec, &loading);
    return det_loader_create(r->env, &loading, &r->loader);
}

static det_status open_network(struct run *r, det_context *context,
                               const det_evaluation_settings *settings)
{
    struct det_env *env = r->env;
    const det_model *model = r->model;
    const struct det_model_spec *spec = &model->spec;
    /* As the API evaluates: see DET_NET_EVALUATE. */
    const bool as_api = det_evaluation_forms_differ(model) && !settings->as_exported &&
                        settings->tiles == NULL && settings->exported == NULL;
    struct det_inference *inference = &r->inference;
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
    DET_TRY_RETURN(
        r->backend->runner_create(env, det_context_compute(context)->device, &running, &r->runner));
    struct det_target_settings targets;
    struct det_loss_settings loss;
    det_loss_settings_from_config(r->config, &targets, &loss);
    DET_TRY_RETURN(det_targets_create(env, &targets, anchors, inference->anchor_count,
                                      spec->num_classes, 1, &r->targets));
    return det_losses_create(env, &loss, 1, inference->anchor_count, spec->num_classes, &r->losses);
}

/* ymin, xmin, ymax, xmax normalised -> x, y, width, height in pixels, with the API's roundings:
 * products and differences in float32. */
static void to_coco(const float box[4], int32_t height, int32_t width, double coco[4])
{
    const float ymin = box[0] * (float)height, xmin = box[1] * (float)width;
    const float ymax = box[2] * (float)height, xmax = box[3] * (float)width;
    coco[0] = (double)xmin;
    coco[1] = (double)ymin;
    coco[2] = (double)(xmax - xmin);
    coco[3] = (double)(ymax - ymin);
}

static det_status add_truth(const struct run *r, det_coco_evaluator *evaluator, int64_t image,
                            const struct det_ground_truth *truth, const float window[4],
                            int32_t height, int32_t width)
{
    DET_TRY_RETURN(det_coco_evaluator_add_image(evaluator, image));
    for (int32_t g = 0; g < truth->count; g++) {
        if (!r->data.is_category[truth->class_index[g]])
            continue;
        /* From the padded frame of the network back to the image's own. */
        const float box[4] = {truth->boxes[g][0] / window[2], truth->boxes[g][1] / window[3],
                              truth->boxes[g][2] / window[2], truth->boxes[g][3] / window[3]};
        double coco[4];
        to_coco(box, height, width, coco);
        const double area = truth->area_px[g] > 0 ? (double)truth->area_px[g] : coco[2] * coco[3];
        const det_coco_object object = {
            .struct_size = sizeof object,
            .image_id = image,
            .category_id = truth->class_index[g] + 1,
            .box_px = {coco[0], coco[1], coco[2], coco[3]},
            .area_px2 = area,
            .is_crowd = truth->is_crowd[g],
            .difficult = truth->difficult[g],
            .group_of = truth->group_of[g],
        };
        DET_TRY_RETURN(det_coco_evaluator_add_object(evaluator, &object));
    }
    return DET_OK;
}

/* A full disk must not cost the figures. */
static void give_up_pictures(struct run *r)
{
    det_log(r->env, DET_LOG_WARNING, "%s; no more pictures of this evaluation are written",
            r->env->error);
    det_forget_error(r->env);
    det_evaluation_pictures_destroy(r->env, &r->pictures);
}

static det_status open_pictures(struct run *r, const det_evaluation_settings *settings)
{
    if (settings->summaries == NULL || !settings->pictures)
        return DET_OK;
    const struct det_evaluation_pictures_settings pictures = {
        .dataset = &r->data.dataset,
        .class_names = r->data.class_names,
        .config = &r->config->eval,
        .writer = settings->summaries,
        .step = r->model->step,
    };
    return det_evaluation_pictures_create(r->env, &pictures, &r->pictures);
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

/* The next image to the runner; its count is 0 behind the last. */
static det_status stage_next(struct run *r, struct det_batch *next)
{
    float window[1][4];
    const det_status status = det_loader_next(r->env, r->loader, next);
    if (status != DET_OK)
        return det_forgive(r->env, status, DET_STATUS_FINISHED);
    window_of(&r->model->spec, next, window[0]);
    return r->backend->runner_set_images(r->env, r->runner, next->images, next->height, next->width,
                                         (const float(*)[4])window);
}

/* Runs what is staged; where the device can, the next image is staged while it works. */
static det_status run_staged(struct run *r, struct det_batch *next)
{
    DET_TRY_RETURN(r->backend->runner_begin(r->env, r->runner));
    const det_status staged = r->backend->stages_ahead ? stage_next(r, next) : DET_OK;
    DET_TRY_RETURN(r->backend->runner_end(r->env, r->runner));
    return staged;
}

/* By the tiles, the exported files, or the runner. */
static det_status detect(struct run *r, size_t image, const struct det_detections **found)
{
    struct det_env *env = r->env;
    if (r->tiles != NULL)
        return det_evaluation_tiles_run(env, r->tiles, &r->data.dataset, image, found);
    if (r->player == NULL)
        return r->backend->runner_detections(env, r->runner, 0, found);
    DET_TRY_RETURN(det_dataset_load(env, &r->data.dataset, image, &r->image, &r->truth));
    return det_export_player_run(env, r->player, &r->image, found);
}

static det_status evaluate_image(struct run *r, det_context *context, det_evaluation *e,
                                 const struct det_batch *batch)
{
    struct det_env *env = r->env;
    const int64_t image = batch->record_index[0];
    const int32_t height = batch->original_size[0][0], width = batch->original_size[0][1];
    float window[4];
    window_of(&r->model->spec, batch, window);
    DET_TRY_RETURN(add_truth(r, e->evaluator, image, &batch->truths[0], window, height, width));
    const float *logits = NULL, *encodings = NULL;
    DET_TRY_RETURN(r->backend->runner_outputs(env, r->runner, &logits, &encodings));
    DET_TRY_RETURN(det_targets_assign(env, r->targets, context->pool, batch->truths, 1));
    struct det_loss_values values;
    DET_TRY_RETURN(det_losses_compute(env, r->losses, context->pool, r->targets, logits, encodings,
                                      &values, NULL, NULL));
    if (!isfinite(values.localization) || !isfinite(values.classification)) {
        char name[512];
        return det_fail(env, DET_STATUS_NON_FINITE, "%s: the loss is not finite: broken weights?",
                        det_dataset_name(&r->data.dataset, (size_t)image, name));
    }
    r->localization += values.localization;
    r->classification += values.classification;
    const struct det_detections *found = NULL;
    DET_TRY_RETURN(detect(r, (size_t)image, &found));
    for (int32_t i = 0; i < found->count; i++) {
        double coco[4];
        if (!r->data.is_category[found->class_index[i]])
            continue;
        to_coco(found->boxes[i], height, width, coco);
        DET_TRY_RETURN(det_coco_evaluator_add_detection(
            e->evaluator, image, found->class_index[i] + 1, coco, (double)found->score[i]));
    }
    if (r->pictures != NULL &&
        det_evaluation_pictures_take(env, r->pictures, (size_t)image, found) != DET_OK)
        give_up_pictures(r);
    return DET_OK;
}

static det_status check_model(struct run *r)
{
    struct det_model_spec wanted;
    DET_TRY_RETURN(det_spec_from_config(r->env, r->config, &wanted));
    const struct det_model_spec *spec = &r->model->spec;
    const bool other_count =
        wanted.num_classes != spec->num_classes && r->config->class_match != DET_CLASSES_REMAP;
    if (other_count || wanted.input_height != spec->input_height ||
        wanted.input_width != spec->input_width)
        return det_fail(r->env, DET_STATUS_MISMATCH,
                        "%s: %d classes at %d x %d, but the model has %d classes at %d x %d",
                        r->config->path, wanted.num_classes, wanted.input_height,
                        wanted.input_width, spec->num_classes, spec->input_height,
                        spec->input_width);
    return DET_OK;
}

static det_status add_to_results(const struct run *r, const det_evaluation_settings *settings,
                                 const det_evaluation *e)
{
    struct det_text name = {0};
    det_evaluation_settings meant = *settings;
    const char *data =
        settings->samples == NULL ? det_pipeline_config_eval_path(r->config, 0) : NULL;
    meant.as_exported =
        r->model->graph.folded || (settings->as_exported && det_evaluation_forms_differ(r->model));
    det_status status = det_evaluation_append_run_name(r->env, &meant, &name);
    if (status == DET_OK)
        status = det_results_add(r->env, settings->results,
                                 &(struct det_results_row){
                                     .run = name.data,
                                     .form = meant.as_exported ? "exported" : "api",
                                     .data = data != NULL ? data : "",
                                     .step = r->model->step,
                                     .coco = e->coco,
                                     .losses = &e->losses,
                                 });
    det_text_free(r->env, &name);
    return status;
}

/* A full disk must not cost the figures here either. */
static void write_figures(const struct run *r, det_context *context,
                          const det_evaluation_settings *settings, const det_evaluation *e)
{
    struct det_env *env = r->env;
    if (settings->summaries != NULL &&
        det_evaluation_summary_write(context, settings->summaries, r->model->step, e->evaluator,
                                     e->coco, &e->losses) != DET_OK) {
        det_log(env, DET_LOG_WARNING, "%s; summaries of this evaluation are incomplete",
                env->error);
        det_forget_error(env);
    }
    if (settings->results != NULL && add_to_results(r, settings, e) != DET_OK) {
        det_log(env, DET_LOG_WARNING, "%s; the results have no row of this evaluation", env->error);
        det_forget_error(env);
    }
}

static det_status evaluate(struct run *r, det_context *context,
                           const det_evaluation_settings *settings, det_evaluation *e)
{
    struct det_env *env = r->env;
    DET_TRY_RETURN(check_model(r));
    DET_TRY_RETURN(det_evaluation_data_open(env, r->config, settings, &r->data));
    DET_TRY_RETURN(det_evaluation_data_match(env, r->config, r->model, &r->data));
    DET_TRY_RETURN(start_loader(r, settings));
    DET_TRY_RETURN(open_network(r, context, settings));
    if (settings->tiles != NULL)
        DET_TRY_RETURN(det_evaluation_tiles_create(context, r->model, settings->tiles, &r->tiles));
    if (settings->exported != NULL && det_export_is_program(settings->exported))
        DET_TRY_RETURN(
            det_export_player_create(env, context->pool, settings->exported, r->model, &r->player));
    DET_TRY_RETURN(open_pictures(r, settings));
    det_coco_settings coco;
    det_coco_settings_default(&coco);
    coco.max_dets = settings->max_dets;
    coco.max_det_count = settings->max_det_count;
    coco.honour_ignore = settings->honour_ignore;
    /* Chosen numbers are for every row; with pycocotools' own the first asks for 100 as it does. */
    coco.first_row_follows_max_dets = settings->max_dets != NULL;
    DET_TRY_RETURN(det_coco_evaluator_create(context, &coco, &e->evaluator));
    for (int32_t c = 0; c < r->model->class_count; c++)
        if (r->data.is_category[c])
            DET_TRY_RETURN(
                det_coco_evaluator_add_category(e->evaluator, c + 1, r->data.class_names[c]));
    int64_t total = (int64_t)r->data.dataset.count, done = 0;
    if (settings->max_images > 0 && settings->max_images < total)
        total = settings->max_images;
    struct det_batch next;
    DET_TRY_RETURN(stage_next(r, &next));
    while (next.count > 0) {
        const struct det_batch batch = next;
        DET_TRY_RETURN(run_staged(r, &next));
        DET_TRY_RETURN(evaluate_image(r, context, e, &batch));
        if (!r->backend->stages_ahead)
            DET_TRY_RETURN(stage_next(r, &next));
        done++;
        if (settings->progress != NULL &&
            settings->progress(settings->progress_user, done, total) != 0)
            return det_fail(env, DET_STATUS_CANCELLED, "stopped after %lld of %lld images",
                            (long long)done, (long long)total);
    }
    e->losses.localization = r->localization / (double)done;
    e->losses.classification = r->classification / (double)done;
    if (!r->model->graph.folded)
        e->losses.regularization =
            det_regularization_loss(&r->model->graph, context->pool, r->model->params);
    e->losses.total = e->losses.localization + e->losses.classification + e->losses.regularization;
    DET_TRY_RETURN(det_coco_evaluator_compute(e->evaluator, &e->coco));
    if (r->pictures != NULL && det_evaluation_pictures_finish(env, r->pictures) != DET_OK)
        give_up_pictures(r);
    write_figures(r, context, settings, e);
    return DET_OK;
}

/* settings->tiles, where they are given, become `tiles`. */
static det_status take_settings(struct det_env *env, const det_evaluation_settings *given,
                                det_evaluation_settings *settings, det_tile_settings *tiles)
{
    det_evaluation_settings_default(settings);
    det_tile_settings_default(tiles);
    DET_TRY_RETURN(DET_TAKE(env, det_evaluation_settings, settings, given));
    DET_TRY_RETURN(DET_TAKE(env, det_tile_settings, tiles, settings->tiles));
    DET_TRY_RETURN(det_tile_settings_check(env, tiles));
    if (settings->tiles != NULL)
        settings->tiles = tiles;
    DET_TRY_RETURN(det_check_reserved(env, "det_evaluation_settings", settings->reserved));
    if (settings->exported != NULL && settings->tiles != NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_evaluation_settings: exported files are not looked at in tiles");
    return det_check_strings(env, "det_evaluation_settings: image_dirs", settings->image_dirs,
                             settings->image_dir_count);
}

det_status det_evaluation_check(det_context *context, const det_pipeline_config *config,
                                const det_evaluation_settings *given)
{
    struct det_env *env = det_context_env(context);
    det_evaluation_settings settings;
    det_tile_settings tiles;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_TRY_RETURN(take_settings(env, given, &settings, &tiles));
    struct det_evaluation_data data = {0};
    const det_status status = det_evaluation_data_open(env, config, &settings, &data);
    det_evaluation_data_close(env, &data);
    return status;
}

det_status det_evaluation_run(det_context *context, const det_pipeline_config *config,
                              const det_model *model, const det_evaluation_settings *given,
                              det_evaluation **evaluation)
{
    struct det_env *env = det_context_env(context);
    det_evaluation_settings settings;
    det_tile_settings tiles;
    if (evaluation != NULL)
        *evaluation = NULL;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, model);
    DET_NEED(env, evaluation);
    DET_TRY_RETURN(take_settings(env, given, &settings, &tiles));
    det_evaluation *e = NULL;
    DET_TRY_RETURN(det_alloc(env, &e, 1, sizeof *e, "evaluation"));
    e->context = context;
    struct run run = {.env = env,
                      .config = config,
                      .model = model,
                      .backend = det_context_compute(context)->backend};
    const det_status status = evaluate(&run, context, &settings, e);
    close_run(&run);
    if (status != DET_OK)
        det_evaluation_destroy(&e);
    *evaluation = e;
    return status;
}

void det_evaluation_destroy(det_evaluation **evaluation)
{
    if (evaluation == NULL || *evaluation == NULL)
        return;
    det_coco_evaluator_destroy(&(*evaluation)->evaluator);
    det_free(det_context_env((*evaluation)->context), evaluation);
}

const det_coco_result *det_evaluation_coco(const det_evaluation *evaluation)
{
    return evaluation == NULL ? NULL : evaluation->coco;
}

det_coco_evaluator *det_evaluation_evaluator(det_evaluation *evaluation)
{
    return evaluation == NULL ? NULL : evaluation->evaluator;
}

det_status det_evaluation_get_losses(const det_evaluation *evaluation,
                                     det_evaluation_losses *losses)
{
    struct det_env *env = evaluation == NULL ? NULL : det_context_env(evaluation->context);
    DET_NEED(env, evaluation);
    DET_NEED_REPORT(env, det_evaluation_losses, losses);
    det_fill_report(losses, &evaluation->losses, sizeof evaluation->losses);
    return DET_OK;
}
