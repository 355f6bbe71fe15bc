/* evaluation.c: det/evaluation.h: a pass over the evaluation records: detections into the COCO
 * evaluator, losses on the side.
 *
 * Ranks do it in rounds: each looks at a few images of its part (evaluation_part.h), all hand
 * round what they have found, and every rank takes in the images of all in their order, as one
 * process does, which has rounds too. So what is kept of images does not grow with the data, and a
 * failure of one rank, a rank that was told to stop too, ends all of them a round later at the
 * most.
 *
 * Agrees with model_lib_v2.py eager_eval_loop() and metrics/coco_evaluation.py of the TF Object
 * Detection API: one image a batch; evaluation_figures.h has what is made of it. */
#include "det/evaluation.h"

#include <string.h>

#include "base/arguments.h"
#include "data/tile_grid.h"
#include "devices/context.h"
#include "eval/evaluation_figures.h"
#include "eval/evaluation_part.h"
#include "model/from_config.h"
#include "model/model.h"
#include "ranks/communicator.h"
#include "support/mem.h"

enum { ROUND = 32 }; /* images of a rank */

/* What is needed only while evaluating. */
struct run {
    struct det_env *env;
    det_context *context;
    const struct det_pipeline_config *config;
    const det_model *model;
    const det_evaluation_settings *settings;
    int32_t size; /* ranks */
    struct det_evaluation_data data;
    struct det_evaluation_part *part;
    struct det_evaluation_figures *figures;
    int64_t total, seen;               /* images: of all ranks, of this one so far */
    struct det_evaluation_bytes mine;  /* what this rank has found in a round */
    int64_t *totals;                   /* [size] of each rank, all the same */
    size_t *at;                        /* [size] what was read of each rank's */
    struct det_evaluation_found found; /* the image that is taken in */
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
    det_evaluation_figures_close(&r->figures);
    det_evaluation_found_free(env, &r->found);
    det_free(env, &r->mine.data);
    det_free(env, &r->totals);
    det_free(env, &r->at);
    det_evaluation_part_close(env, &r->part);
    det_evaluation_data_close(env, &r->data);
}

/* --- taking in --- */

/* Images from `first` to before `end`, which all ranks have found together. */
static det_status take_round(struct run *r, const struct det_gathered *all, int64_t first,
                             int64_t end)
{
    memcpy(r->at, all->begins, (size_t)r->size * sizeof *r->at);
    for (int64_t i = first; i < end; i++) {
        const int32_t rank = (int32_t)(i % r->size);
        DET_TRY_RETURN(det_evaluation_found_read(r->env, all->data, &r->at[rank],
                                                 all->begins[rank + 1], r->model->class_count,
                                                 &r->found));
        if (r->found.image != i)
            return det_fail(r->env, DET_STATUS_CORRUPT,
                            "rank %d has sent image %lld, expected image %lld", (int)rank,
                            (long long)r->found.image, (long long)i);
        DET_TRY_RETURN(det_evaluation_figures_take(r->figures, &r->found));
    }
    return DET_OK;
}

/* --- this rank's part --- */

/* As if the other ranks were as far. */
static det_status tell_progress(const struct run *r)
{
    const det_evaluation_settings *s = r->settings;
    const int64_t done = r->seen * r->size < r->total ? r->seen * r->size : r->total;
    if (s->progress != NULL && s->progress(s->progress_user, done, r->total) != 0)
        return det_fail(r->env, DET_STATUS_CANCELLED, "stopped after %lld of %lld images",
                        (long long)done, (long long)r->total);
    return DET_OK;
}

static det_status look(struct run *r)
{
    r->mine.count = 0;
    for (int i = 0; i < ROUND; i++) {
        const struct det_evaluation_found *found = NULL;
        DET_TRY_RETURN(det_evaluation_part_next(r->part, &found));
        if (found == NULL)
            return DET_OK;
        DET_TRY_RETURN(det_evaluation_found_append(r->env, found, &r->mine));
        r->seen++;
        DET_TRY_RETURN(tell_progress(r));
    }
    return DET_OK;
}

/* --- all of it --- */

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

static det_status open_run(struct run *r, det_evaluation **e)
{
    struct det_env *env = r->env;
    const det_evaluation_settings *settings = r->settings;
    DET_TRY_RETURN(det_alloc(env, e, 1, sizeof **e, "evaluation"));
    (*e)->context = r->context;
    DET_TRY_RETURN(det_alloc(env, &r->totals, (size_t)r->size, sizeof *r->totals, "evaluation"));
    DET_TRY_RETURN(det_alloc(env, &r->at, (size_t)r->size, sizeof *r->at, "evaluation"));
    DET_TRY_RETURN(check_model(r));
    DET_TRY_RETURN(det_evaluation_data_open(env, r->config, settings, &r->data));
    DET_TRY_RETURN(det_evaluation_data_match(env, r->config, r->model, &r->data));
    r->total = (int64_t)r->data.dataset.count;
    if (settings->max_images > 0 && settings->max_images < r->total)
        r->total = settings->max_images;
    DET_TRY_RETURN(det_evaluation_part_open(r->context,
                                            &(struct det_evaluation_part_settings){
                                                .config = r->config,
                                                .model = r->model,
                                                .dataset = &r->data.dataset,
                                                .evaluation = settings,
                                                .images = r->total,
                                            },
                                            &r->part));
    return det_evaluation_figures_open(
        &(struct det_evaluation_figures_settings){
            .context = r->context,
            .config = r->config,
            .model = r->model,
            .data = &r->data,
            .asked = settings,
            .evaluation = *e,
        },
        &r->figures);
}

/* Ranks with another number of images would have another number of rounds. */
static det_status compare_data(const struct run *r)
{
    det_communicator *communicator = r->settings->communicator;
    DET_TRY_RETURN(det_ranks_gather(r->env, communicator, &r->total, r->totals, sizeof *r->totals));
    for (int32_t rank = 1; rank < r->size; rank++)
        if (r->totals[rank] != r->totals[0])
            return det_fail(r->env, DET_STATUS_MISMATCH,
                            "rank %d on %s has %lld images to evaluate, rank 0 on %s has %lld",
                            (int)rank, det_communicator_host(communicator, rank),
                            (long long)r->totals[rank], det_communicator_host(communicator, 0),
                            (long long)r->totals[0]);
    return DET_OK;
}

/* What goes wrong on one rank alone is told when all next agree. */
static det_status evaluate(struct run *r, det_evaluation **e)
{
    det_communicator *communicator = r->settings->communicator;
    const int64_t round = (int64_t)ROUND * r->size;
    det_status status = open_run(r, e);
    DET_TRY_RETURN(det_ranks_agree(r->env, communicator, status));
    DET_TRY_RETURN(compare_data(r));
    for (int64_t first = 0; first < r->total; first += round) {
        struct det_gathered all;
        if (status == DET_OK)
            status = look(r);
        DET_TRY_RETURN(det_ranks_agree(r->env, communicator, status));
        DET_TRY_RETURN(
            det_ranks_gather_bytes(r->env, communicator, r->mine.data, r->mine.count, &all));
        status = take_round(r, &all, first, first + round < r->total ? first + round : r->total);
        det_gathered_free(r->env, &all);
    }
    if (status == DET_OK)
        status = det_evaluation_figures_compute(r->figures);
    DET_TRY_RETURN(det_ranks_agree(r->env, communicator, status));
    det_evaluation_figures_write(r->figures);
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
    if (det_communicator_rank(settings.communicator) > 0) {
        settings.summaries = NULL;
        settings.results = NULL;
        settings.quiet = 1;
    }
    det_evaluation *e = NULL;
    struct run run = {.env = env,
                      .context = context,
                      .config = config,
                      .model = model,
                      .settings = &settings,
                      .size = det_communicator_size(settings.communicator)};
    const det_status status = evaluate(&run, &e);
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
