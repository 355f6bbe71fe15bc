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
#include "ranks/communicator.h"
#include "support/mem.h"

enum {
    MOST_BATCH = 16,
    ORDER_SEED = 1, /* of the choice of pictures: the same ones every time */
};
#define MOST_BYTES ((size_t)512 << 20)
#define LEFT_OVER  .01 /* share of the beginning that does not matter any more */

/* It is done in rounds: in each a rank measures one batch. */
struct measuring {
    struct det_context *context;
    const struct det_recalibration *question;
    const struct det_backend *backend;
    int32_t rank, size;
    int32_t batch;
    struct det_measurer *measurer;
    struct det_loader *loader;
    uint64_t samples;
    float *statistics; /* [statistic_count] of a batch: each batch norm's mean, then its variance */
    size_t statistic_count;
    struct det_population population;
};

static void finish(struct measuring *m)
{
    struct det_env *env = &m->context->env;
    det_loader_destroy(env, &m->loader);
    det_population_free(env, &m->population);
    det_free(env, &m->statistics);
    if (m->measurer != NULL)
        m->backend->measurer_destroy(env, &m->measurer);
}

/* The largest batch whose memory is small; by shapes alone, so that every machine takes the
 * same. */
static det_status choose_batch(struct measuring *m)
{
    m->batch = m->question->batch;
    if (m->batch > 0)
        return DET_OK;
    for (m->batch = MOST_BATCH; m->batch > 1; m->batch /= 2) {
        size_t bytes = 0;
        DET_TRY_RETURN(det_net_memory_bytes(&m->context->env, m->question->graph,
                                            det_context_compute(m->context)->ops, 1, m->batch,
                                            DET_NET_MEASURE, &bytes));
        if (bytes <= MOST_BYTES)
            break;
    }
    return DET_OK;
}

static det_status prepare(struct measuring *m)
{
    struct det_env *env = &m->context->env;
    const struct det_graph *graph = m->question->graph;
    DET_TRY_RETURN(choose_batch(m));
    DET_TRY_RETURN(det_population_create(env, graph, &m->population));
    for (int32_t i = 0; i < graph->op_count; i++)
        if (graph->ops[i].kind == DET_OP_BATCH_NORM)
            m->statistic_count += 2 * graph->params[graph->ops[i].mean].count;
    return det_alloc(env, &m->statistics, m->statistic_count, sizeof *m->statistics,
                     "batch statistics");
}

/* Half of a batch that a device beside a training has no room for, on all ranks when one has
 * not. */
static det_status create_measurer(struct measuring *m)
{
    const struct det_compute *compute = det_context_compute(m->context);
    const struct det_recalibration *question = m->question;
    struct det_env *env = &m->context->env;
    int64_t fitting = m->batch, smallest = 0;
    for (;;) {
        DET_TRY_RETURN(det_ranks_smallest(env, question->communicator, fitting, &smallest));
        if (m->measurer != NULL && smallest == m->batch)
            return DET_OK;
        if (m->measurer != NULL)
            m->backend->measurer_destroy(env, &m->measurer);
        fitting = m->batch = (int32_t)smallest;
        det_status status =
            m->backend->measurer_create(env, compute->device, question->graph, question->params,
                                        m->batch, question->idle, &m->measurer);
        if (status == DET_STATUS_OUT_OF_MEMORY && m->batch > 1 && question->batch == 0) {
            status = det_forgive(env, status, DET_STATUS_OUT_OF_MEMORY);
            fitting = m->batch / 2;
        }
        DET_TRY_RETURN(det_ranks_agree(env, question->communicator, status));
    }
}

/* Returns how many pictures it has been. */
static uint64_t choose_samples(struct measuring *m)
{
    const struct det_recalibration *question = m->question;
    uint64_t images = question->dataset->count;
    if (question->images > 0 && (uint64_t)question->images < images)
        images = (uint64_t)question->images;
    /* Whole batches: the last one has some pictures of the next round too. */
    const uint64_t rest = images % (uint64_t)m->batch;
    m->samples = rest == 0 ? images : images - rest + (uint64_t)m->batch;
    return images;
}

static det_status start_loader(struct measuring *m)
{
    struct det_loader_settings settings = m->question->resize;
    settings.dataset = m->question->dataset;
    settings.batch_size = m->batch;
    settings.seed = ORDER_SEED;
    settings.shuffle = true;
    settings.threads = det_context_threads(m->context);
    settings.first_sample = (uint64_t)m->rank * (uint64_t)m->batch;
    settings.stride = m->size;
    settings.end_sample = m->samples;
    return det_loader_create(&m->context->env, &settings, &m->loader);
}

/* Whether a rank has a batch in the round that begins with a sample; the last one may be short. */
static bool has_batch(const struct measuring *m, uint64_t first, int32_t rank)
{
    return first + (uint64_t)rank * (uint64_t)m->batch < m->samples;
}

/* The next batch of this rank. */
static det_status measure_batch(struct measuring *m)
{
    struct det_env *env = &m->context->env;
    const struct det_graph *graph = m->question->graph;
    struct det_batch next;
    float *to = m->statistics;
    DET_TRY_RETURN(det_loader_next(env, m->loader, &next));
    DET_TRY_RETURN(
        m->backend->measurer_run(env, m->measurer, next.images, next.height, next.width));
    for (int32_t i = 0; i < graph->op_count; i++) {
        const float *mean = NULL, *variance = NULL;
        if (graph->ops[i].kind != DET_OP_BATCH_NORM)
            continue;
        const size_t count = graph->params[graph->ops[i].mean].count;
        m->backend->measurer_statistics(m->measurer, i, &mean, &variance);
        memcpy(to, mean, count * sizeof *to);
        memcpy(to + count, variance, count * sizeof *to);
        to += 2 * count;
    }
    return DET_OK;
}

static void take_batch(struct measuring *m, const float *statistics)
{
    const struct det_graph *graph = m->question->graph;
    det_population_count_batch(&m->population);
    for (int32_t i = 0; i < graph->op_count; i++) {
        if (graph->ops[i].kind != DET_OP_BATCH_NORM)
            continue;
        const size_t count = graph->params[graph->ops[i].mean].count;
        det_population_add(&m->population, &graph->ops[i], statistics, statistics + count);
        statistics += 2 * count;
    }
}

/* All that the ranks have measured in the round, in the order of the batches. */
static det_status take_round(struct measuring *m, uint64_t first)
{
    struct det_env *env = &m->context->env;
    const size_t bytes = m->statistic_count * sizeof *m->statistics;
    const size_t mine = has_batch(m, first, m->rank) ? bytes : 0;
    struct det_gathered all;
    det_status status = DET_OK;
    DET_TRY_RETURN(
        det_ranks_gather_bytes(env, m->question->communicator, m->statistics, mine, &all));
    for (int32_t r = 0; r < m->size && status == DET_OK; r++) {
        const size_t got = all.begins[r + 1] - all.begins[r];
        const size_t expected = has_batch(m, first, r) ? bytes : 0;
        if (got != expected)
            status = det_fail(env, DET_STATUS_CORRUPT,
                              "rank %d has sent %zu bytes of statistics, expected %zu", (int)r, got,
                              expected);
        else if (got > 0)
            take_batch(m, (const float *)(const void *)(all.data + all.begins[r]));
    }
    det_gathered_free(env, &all);
    return status;
}

static det_status tell_progress(const struct measuring *m, uint64_t done)
{
    const struct det_recalibration *question = m->question;
    if (done > m->samples)
        done = m->samples;
    if (question->progress != NULL &&
        question->progress(question->progress_user, (int64_t)done, (int64_t)m->samples) != 0)
        return det_fail(&m->context->env, DET_STATUS_CANCELLED, "recalibration was stopped");
    return DET_OK;
}

static det_status measure(struct measuring *m)
{
    struct det_env *env = &m->context->env;
    const uint64_t round = (uint64_t)m->size * (uint64_t)m->batch;
    det_status status = start_loader(m);
    for (uint64_t first = 0; first < m->samples; first += round) {
        if (status == DET_OK && has_batch(m, first, m->rank))
            status = measure_batch(m);
        if (status == DET_OK)
            status = tell_progress(m, first + round);
        DET_TRY_RETURN(det_ranks_agree(env, m->question->communicator, status));
        DET_TRY_RETURN(take_round(m, first));
    }
    return status;
}

det_status det_recalibrate(struct det_context *context, const struct det_recalibration *question,
                           float *recalibrated, int64_t *used)
{
    struct det_env *env = &context->env;
    struct measuring m = {
        .context = context,
        .question = question,
        .backend = det_context_compute(context)->backend,
        .rank = det_communicator_rank(question->communicator),
        .size = det_communicator_size(question->communicator),
    };
    det_status status = DET_OK;
    *used = 0;
    if (question->spec->freeze_batchnorm)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "nothing to recalibrate: with freeze_batchnorm the network was trained "
                        "with the statistics that it is exported with");
    DET_TRY(det_ranks_agree(env, question->communicator, prepare(&m)));
    DET_TRY(create_measurer(&m));
    const uint64_t images = choose_samples(&m);
    DET_TRY(measure(&m));
    memcpy(recalibrated, question->params, question->graph->param_floats * sizeof *recalibrated);
    DET_TRY(det_population_store(env, &m.population, recalibrated));
    *used = (int64_t)images;
fail:
    finish(&m);
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
