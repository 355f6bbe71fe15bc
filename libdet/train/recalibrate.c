#include "train/recalibrate.h"

#include <math.h>
#include <string.h>

#include "base/arguments.h"
#include "data/loader.h"
#include "devices/backend.h"
#include "devices/context.h"
#include "formats/pipeline_paths.h"
#include "model/from_config.h"
#include "model/model.h"
#include "model/net.h"
#include "model/optimizer_state.h"
#include "model/population.h"
#include "support/mem.h"

enum {
    MOST_BATCH = 16,
    ORDER_SEED = 1, /* of the choice of pictures: the same ones every time */
};
#define MOST_BYTES ((size_t)512 << 20)
#define LEFT_OVER  .01 /* share of the beginning that does not matter any more */

/* The largest batch whose memory is small; by shapes alone, so that every machine takes the
 * same. */
static det_status choose_batch(struct det_context *context,
                               const struct det_recalibration *question, int32_t *batch)
{
    for (*batch = MOST_BATCH; *batch > 1; *batch /= 2) {
        size_t bytes = 0;
        DET_TRY_RETURN(det_net_memory_bytes(&context->env, question->graph,
                                            det_context_compute(context)->ops, 1, *batch,
                                            DET_NET_MEASURE, &bytes));
        if (bytes <= MOST_BYTES)
            break;
    }
    return DET_OK;
}

/* Half of a batch that a device beside a training has no room for. */
static det_status create_measurer(struct det_context *context,
                                  const struct det_recalibration *question, int32_t *batch,
                                  struct det_measurer **measurer)
{
    const struct det_compute *compute = det_context_compute(context);
    for (;;) {
        const det_status status =
            compute->backend->measurer_create(&context->env, compute->device, question->graph,
                                              question->params, *batch, question->idle, measurer);
        if (status != DET_STATUS_OUT_OF_MEMORY || *batch == 1 || question->batch > 0)
            return status;
        *batch /= 2;
    }
}

static det_status start_loader(struct det_context *context,
                               const struct det_recalibration *question, int32_t batch,
                               uint64_t samples, struct det_loader **loader)
{
    struct det_loader_settings settings = question->resize;
    settings.dataset = question->dataset;
    settings.batch_size = batch;
    settings.seed = ORDER_SEED;
    settings.shuffle = true;
    settings.threads = det_context_threads(context);
    settings.end_sample = samples;
    return det_loader_create(&context->env, &settings, loader);
}

static void take_in(const struct det_backend *backend, const struct det_measurer *measurer,
                    struct det_population *population)
{
    const struct det_graph *graph = population->graph;
    det_population_count_batch(population);
    for (int32_t i = 0; i < graph->op_count; i++) {
        const float *mean = NULL, *variance = NULL;
        if (graph->ops[i].kind != DET_OP_BATCH_NORM)
            continue;
        backend->measurer_statistics(measurer, i, &mean, &variance);
        det_population_add(population, &graph->ops[i], mean, variance);
    }
}

static det_status measure(struct det_context *context, const struct det_recalibration *question,
                          int32_t batch, uint64_t samples, struct det_measurer *measurer,
                          struct det_population *population)
{
    struct det_env *env = &context->env;
    const struct det_backend *backend = det_context_compute(context)->backend;
    struct det_loader *loader = NULL;
    struct det_batch next;
    det_status status = DET_OK;
    DET_TRY(start_loader(context, question, batch, samples, &loader));
    for (uint64_t done = 0; done < samples; done += (uint64_t)batch) {
        DET_TRY(det_loader_next(env, loader, &next));
        DET_TRY(backend->measurer_run(env, measurer, next.images, next.height, next.width));
        take_in(backend, measurer, population);
        if (question->progress != NULL &&
            question->progress(question->progress_user, (int64_t)done + batch, (int64_t)samples) !=
                0)
            DET_TRY(det_fail(env, DET_STATUS_CANCELLED, "recalibration was stopped"));
    }
fail:
    det_loader_destroy(env, &loader);
    return status;
}

det_status det_recalibrate(struct det_context *context, const struct det_recalibration *question,
                           float *recalibrated, int64_t *used)
{
    struct det_env *env = &context->env;
    struct det_measurer *measurer = NULL;
    struct det_population population = {0};
    int32_t batch = question->batch;
    det_status status = DET_OK;
    *used = 0;
    if (question->spec->freeze_batchnorm)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing to recalibrate: with freeze_batchnorm the network was trained "
                        "with the statistics that it is exported with");
    if (batch == 0)
        DET_TRY(choose_batch(context, question, &batch));
    DET_TRY(create_measurer(context, question, &batch, &measurer));
    DET_TRY(det_population_create(env, question->graph, &population));
    uint64_t images = question->dataset->count;
    if (question->images > 0 && (uint64_t)question->images < images)
        images = (uint64_t)question->images;
    /* Whole batches: the last one has some pictures of the next round too. */
    const uint64_t rest = images % (uint64_t)batch;
    DET_TRY(measure(context, question, batch, rest == 0 ? images : images - rest + (uint64_t)batch,
                    measurer, &population));
    memcpy(recalibrated, question->params, question->graph->param_floats * sizeof *recalibrated);
    DET_TRY(det_population_store(env, &population, recalibrated));
    *used = (int64_t)images;
fail:
    det_population_free(env, &population);
    if (measurer != NULL)
        det_context_compute(context)->backend->measurer_destroy(env, &measurer);
    return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "recalibration");
}

double det_decay_fitting(int64_t steps)
{
    return steps > 0 ? floor(1000 * pow(LEFT_OVER, 1.0 / (double)steps)) / 1000 : 0;
}

det_decay_advice det_decay_advise(const struct det_graph *graph, int64_t steps)
{
    det_decay_advice advice = {0};
    for (int32_t i = 0; i < graph->op_count; i++) {
        const struct det_op *op = &graph->ops[i];
        if (op->kind == DET_OP_BATCH_NORM && (double)op->decay > advice.decay)
            advice.decay = (double)op->decay;
    }
    advice.left = pow(advice.decay, (double)steps);
    advice.fitting = det_decay_fitting(steps);
    advice.warn = advice.left > LEFT_OVER;
    return advice;
}

/* --- det/recalibration.h --- */

void det_recalibration_settings_init(det_recalibration_settings *settings, size_t struct_size)
{
    static const det_recalibration_settings defaults = {.images = DET_RECALIBRATION_IMAGES};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static det_status open_dataset(struct det_env *env, const struct det_pipeline_config *config,
                               const det_recalibration_settings *s, int32_t classes,
                               struct det_dataset *dataset)
{
    struct det_path_list paths = {0};
    const bool given = s->record_count > 0 || s->samples != NULL;
    det_status status = DET_OK;
    if (!given && !config->has_train_input_reader)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: has no train_input_reader whose pictures could be taken",
                        config->path);
    if (!given)
        DET_TRY(det_pipeline_path_records(env, config, &config->train_input_reader, &paths));
    DET_TRY(det_dataset_open(env,
                             &(struct det_dataset_settings){
                                 .role = "recalibration",
                                 .patterns = given ? s->records : (const char *const *)paths.paths,
                                 .pattern_count = given ? s->record_count : paths.count,
                                 .source = s->samples,
                                 .class_count = classes,
                                 .image_dirs = s->image_dirs,
                                 .image_dir_count = s->image_dir_count,
                                 .images_only = true,
                             },
                             dataset));
fail:
    det_path_list_free(env, &paths);
    return status;
}

static det_status copy_model(struct det_env *env, const struct det_model *model, det_model **copy)
{
    const char **names = NULL;
    DET_TRY_RETURN(det_model_names(env, model, &names));
    const det_status status = det_model_create(env, &model->spec, false, names, copy);
    det_free(env, &names);
    DET_TRY_RETURN(status);
    const size_t floats = model->graph.param_floats;
    memcpy((*copy)->owned, model->params, floats * sizeof *model->params);
    (*copy)->step = model->step;
    if (model->optimizer != NULL)
        DET_TRY_RETURN(
            det_optimizer_state_copy(env, model->optimizer, floats, &(*copy)->optimizer));
    return det_alloc_raw(env, &(*copy)->recalibrated, floats, sizeof(float),
                         "recalibrated parameters");
}

static det_status recalibrate_model(det_context *context, const det_pipeline_config *config,
                                    const det_model *model, const det_recalibration_settings *s,
                                    det_model **out)
{
    struct det_env *env = &context->env;
    struct det_dataset dataset = {0};
    struct det_recalibration question = {
        .spec = &model->spec,
        .graph = &model->graph,
        .params = model->params,
        .dataset = &dataset,
        .images = s->images,
        .progress = s->progress,
        .progress_user = s->progress_user,
    };
    det_status status = DET_OK;
    det_config_resize(config, &model->spec, &question.resize);
    DET_TRY(open_dataset(env, config, s, model->spec.num_classes, &dataset));
    DET_TRY(copy_model(env, model, out));
    DET_TRY(
        det_recalibrate(context, &question, (*out)->recalibrated, &(*out)->recalibrated_images));
fail:
    det_dataset_close(env, &dataset);
    if (status != DET_OK)
        det_model_destroy(out);
    return status;
}

det_status det_model_recalibrate(det_context *context, const det_pipeline_config *config,
                                 const det_model *model, const det_recalibration_settings *given,
                                 det_model **recalibrated)
{
    struct det_env *env = det_context_env(context);
    det_recalibration_settings settings;
    if (recalibrated != NULL)
        *recalibrated = NULL;
    DET_NEED(env, context);
    DET_NEED(env, config);
    DET_NEED(env, model);
    DET_NEED(env, recalibrated);
    det_recalibration_settings_default(&settings);
    DET_TRY_RETURN(DET_TAKE(env, det_recalibration_settings, &settings, given));
    DET_TRY_RETURN(det_check_strings(env, "det_recalibration_settings: records", settings.records,
                                     settings.record_count));
    DET_TRY_RETURN(det_check_strings(env, "det_recalibration_settings: image_dirs",
                                     settings.image_dirs, settings.image_dir_count));
    if (settings.images < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "recalibration: images is %lld, expected 0 or more",
                        (long long)settings.images);
    if (model->graph.folded)
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT,
            "nothing to recalibrate: the model is exported, its batch norms are part "
            "of its convolutions: recalibrate the checkpoint that it was exported from");
    if (det_model_has_ranges(model))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing to recalibrate: the model was trained in 8 bits with the "
                        "statistics that it has");
    return recalibrate_model(context, config, model, &settings, recalibrated);
}

det_status det_model_decay_advice(const det_model *model, det_decay_advice *advice)
{
    /* A model belongs to no context that could keep a message. */
    DET_NEED(NULL, model);
    DET_NEED_REPORT(NULL, det_decay_advice, advice);
    det_decay_advice made = det_decay_advise(&model->graph, model->step);
    if (model->recalibrated != NULL || model->graph.folded || model->spec.freeze_batchnorm ||
        det_model_has_ranges(model))
        made.warn = 0;
    det_fill_report(advice, &made, sizeof made);
    return DET_OK;
}
