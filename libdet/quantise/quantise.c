#include "quantise/quantise.h"

#include <math.h>
#include <string.h>

#include "devices/context.h"
#include "model/model.h"
#include "quantise/equalise.h"
#include "quantise/quantise_parts.h"
#include "support/finite.h"
#include "support/mem.h"

enum {
    MEASURED_IMAGES = 16, /* that every choice is judged by */
    LAYER_IMAGES = 4,     /* ... that the error of one layer is taken from */
};
/* Of the error that is left: a layer in float32 must make it smaller than this. The last layers are
 * a hundredth of the work, the first is as many products and four times the memory. */
#define LAST_PAYS  0.995
#define CLAMP_PAYS 0.95 /* an observer that leaves values out, against all that was seen */
#define FIRST_PAYS 0.9

static det_status step(struct det_quantise_work *w, int64_t pictures)
{
    const det_quantisation_settings *s = &w->job->settings;
    w->done += pictures;
    if (w->done > w->total)
        w->done = w->total;
    if (s->progress != NULL && s->progress(s->progress_user, w->done, w->total) != 0)
        return det_fail(w->env, DET_STATUS_CANCELLED, "quantisation was stopped");
    return DET_OK;
}

/* --- pictures --- */

/* Picture `index` of those that are used, evenly from all, into the network's input. */
static det_status load(struct det_quantise_work *w, int64_t index)
{
    const struct det_quantise_job *job = w->job;
    const size_t from = (size_t)((uint64_t)index * job->dataset->count / (uint64_t)w->images);
    DET_TRY_RETURN(det_dataset_load(w->env, job->dataset, from, &w->image, &w->truth));
    const det_image_view view = {
        .pixels = w->image.rgb, .width = w->image.width, .height = w->image.height};
    const struct det_frame frame = det_frame_of(job->spec, view.height, view.width);
    const struct det_tensor in = job->graph->tensors[0];
    return det_input_fill(w->env, &w->resizer, w->pool, &view, &frame, det_net_input(w->net),
                          in.height, in.width);
}

/* --- observation --- */

struct watch {
    struct det_quantise_work *work;
    const char *bad; /* the operation whose result is not finite */
};

static void see(void *user, int32_t op, float *made, int64_t rows)
{
    struct watch *watch = user;
    const struct det_graph *g = watch->work->job->graph;
    const int32_t tensor = g->ops[op].out;
    if (watch->bad == NULL && !det_all_finite(made, (size_t)(rows * g->tensors[tensor].channels)))
        watch->bad = g->ops[op].name;
    if (watch->bad == NULL)
        det_observed_add(&watch->work->way.observed[tensor], made, rows);
}

/* All pictures through the network with the present parameters. */
static det_status observe(struct det_quantise_work *w)
{
    const struct det_graph *g = w->job->graph;
    struct watch watch = {.work = w};
    for (int32_t t = 0; t < g->tensor_count; t++)
        det_observed_clear(&w->way.observed[t]);
    for (int64_t i = 0; i < w->images; i++) {
        DET_TRY_RETURN(load(w, i));
        det_observed_add(&w->way.observed[0], det_net_input(w->net), det_net_rows(g, 0, 1));
        det_net_watch(w->net, see, &watch);
        det_net_forward(w->net, w->way.params);
        det_net_watch(w->net, NULL, NULL);
        if (watch.bad != NULL)
            return det_fail(w->env, DET_STATUS_NON_FINITE,
                            "%s gives NaN or infinity: the model's weights are damaged or its "
                            "training diverged",
                            watch.bad);
        DET_TRY_RETURN(step(w, 1));
    }
    return DET_OK;
}

/* What is right: the network as it came. */
static det_status collect_measured(struct det_quantise_work *w)
{
    const int64_t images = w->images < MEASURED_IMAGES ? w->images : MEASURED_IMAGES;
    DET_TRY_RETURN(det_measure_create(w->env, w->job->graph, w->net, (int32_t)images, &w->measure));
    for (int64_t i = 0; i < images; i++) {
        DET_TRY_RETURN(load(w, i * w->images / images));
        det_measure_add(&w->measure, w->job->params);
        DET_TRY_RETURN(step(w, 1));
    }
    return DET_OK;
}

/* --- choices --- */

void det_quantise_forget(const struct det_quantise_work *w, struct det_quantise_made *best)
{
    det_quantised_destroy(w->env, &best->quantised);
    det_free(w->env, &best->real);
}

void det_quantise_exchange(struct det_quantise_made *a, struct det_quantise_made *b)
{
    const struct det_quantise_made now = *a;
    *a = *b;
    *b = now;
}

/* The network in 8 bits in one way. */
det_status det_quantise_make(struct det_quantise_work *w, const struct det_ranges_choice *choice,
                             struct det_quantise_made *made)
{
    det_status status = DET_OK;
    *made = (struct det_quantise_made){0};
    DET_TRY(det_alloc(w->env, &made->real, w->job->graph->param_floats, sizeof(float),
                      "8-bit weights"));
    DET_TRY(det_ranges_make(w->env, w->job->graph, w->way.observed, w->way.params, choice,
                            made->real, &made->quantised));
    const struct det_output_error error = det_measure_run(&w->measure, made->quantised, made->real);
    DET_TRY(step(w, w->measure.images));
    made->error = det_output_error_most(error);
    made->quantised->images = w->images;
    made->quantised->observer = (int32_t)choice->observer;
    made->quantised->equalised = w->way.equalised;
    made->quantised->biases_corrected = choice->correct_biases;
    made->quantised->score_error = error.scores;
    made->quantised->box_error = error.boxes;
fail:
    if (status != DET_OK)
        det_quantise_forget(w, made);
    return status;
}

/* Keeps it if it is the best so far by more than `margin` of the error. */
static det_status try_way(struct det_quantise_work *w, const struct det_ranges_choice *choice,
                          double margin, struct det_quantise_made *best)
{
    struct det_quantise_made made;
    DET_TRY_RETURN(det_quantise_make(w, choice, &made));
    if (best->quantised == NULL || made.error < margin * best->error)
        det_quantise_exchange(best, &made);
    det_quantise_forget(w, &made);
    return DET_OK;
}

void det_quantise_exchange_ways(struct det_quantise_work *w)
{
    const struct det_quantise_way now = w->way;
    w->way = w->other;
    w->other = now;
}

static void all_in_8_bits(const struct det_graph *g, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = det_op_is_convolution(&g->ops[i]);
}

struct det_ranges_choice det_quantise_choice(const struct det_quantise_work *w, int32_t observer,
                                             const bool *eight_bits)
{
    return (struct det_ranges_choice){.observer = (det_quantisation_observer)observer,
                                      .eight_bits = eight_bits,
                                      .correct_biases = w->job->settings.correct_biases != 0};
}

static det_status try_observers(struct det_quantise_work *w, const bool *eight_bits,
                                struct det_quantise_made *best)
{
    const det_quantisation_settings *s = &w->job->settings;
    for (det_quantisation_observer o = DET_OBSERVER_MINMAX; o <= DET_OBSERVER_SQUARES; o++) {
        const struct det_ranges_choice choice = det_quantise_choice(w, (int32_t)o, eight_bits);
        if (s->observer == DET_OBSERVER_AUTO || s->observer == o)
            DET_TRY_RETURN(try_way(w, &choice, CLAMP_PAYS, best));
    }
    return DET_OK;
}

/* The convolutions whose results are the network's outputs. */
static void free_last(const struct det_graph *g, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = eight_bits[i] && !det_graph_is_output(g, g->ops[i].out);
}

static void free_first(const struct det_graph *g, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = eight_bits[i] && g->ops[i].in != 0;
}

/* The last layers are in float32 so far: in 8 bits where that costs nothing, and the first in
 * float32 where that pays. */
static det_status try_floats(struct det_quantise_work *w, bool *eight_bits,
                             struct det_quantise_made *best)
{
    const struct det_graph *g = w->job->graph;
    for (int way = 0; way < 2; way++) {
        all_in_8_bits(g, eight_bits);
        if (way == 1) {
            free_last(g, eight_bits);
            free_first(g, eight_bits);
        }
        const struct det_ranges_choice choice =
            det_quantise_choice(w, best->quantised->observer, eight_bits);
        DET_TRY_RETURN(try_way(w, &choice, way == 0 ? 1 / LAST_PAYS : FIRST_PAYS, best));
    }
    return DET_OK;
}

/* How much each convolution alone adds; weights that levels share, all together. */
static det_status find_layer_errors(struct det_quantise_work *w, bool *eight_bits,
                                    struct det_quantised *q)
{
    const struct det_graph *g = w->job->graph;
    const int32_t images = w->measure.images;
    det_status status = DET_OK;
    float *real = NULL;
    DET_TRY(det_alloc(w->env, &real, g->param_floats, sizeof *real, "8-bit weights"));
    if (w->measure.images > LAYER_IMAGES)
        w->measure.images = LAYER_IMAGES;
    for (int32_t i = 0; i < g->op_count; i++) {
        struct det_quantised *alone = NULL;
        if (!det_op_is_convolution(&g->ops[i]) || q->errors[i] > 0)
            continue;
        for (int32_t j = 0; j < g->op_count; j++)
            eight_bits[j] = g->ops[j].weight == g->ops[i].weight;
        const struct det_ranges_choice choice = det_quantise_choice(w, q->observer, eight_bits);
        DET_TRY(det_ranges_make(w->env, g, w->way.observed, w->way.params, &choice, real, &alone));
        const double error = det_output_error_most(det_measure_run(&w->measure, alone, real));
        det_quantised_destroy(w->env, &alone);
        for (int32_t j = 0; j < g->op_count; j++) {
            if (eight_bits[j])
                q->errors[j] = (float)error;
        }
        DET_TRY(step(w, w->measure.images));
    }
fail:
    w->measure.images = images;
    det_free(w->env, &real);
    return status;
}

/* --- the whole --- */

static det_status create_way(const struct det_quantise_work *w, struct det_quantise_way *way)
{
    const struct det_graph *g = w->job->graph;
    DET_TRY_RETURN(
        det_alloc(w->env, &way->params, g->param_floats, sizeof *way->params, "parameters"));
    memcpy(way->params, w->job->params, g->param_floats * sizeof *way->params);
    DET_TRY_RETURN(det_alloc(w->env, &way->observed, (size_t)g->tensor_count, sizeof *way->observed,
                             "ranges"));
    for (int32_t t = 0; t < g->tensor_count; t++)
        DET_TRY_RETURN(det_observed_create(w->env, g->tensors[t].channels, &way->observed[t]));
    return DET_OK;
}

static void free_way(const struct det_quantise_work *w, struct det_quantise_way *way)
{
    for (int32_t t = 0; way->observed != NULL && t < w->job->graph->tensor_count; t++)
        det_observed_free(w->env, &way->observed[t]);
    det_free(w->env, &way->observed);
    det_free(w->env, &way->params);
}

static det_status prepare(struct det_quantise_work *w)
{
    const struct det_graph *g = w->job->graph;
    const int64_t all = (int64_t)w->job->dataset->count;
    w->images = all < w->job->settings.images ? all : w->job->settings.images;
    for (int32_t p = 0; p < g->param_count; p++)
        DET_TRY_RETURN(det_params_check_finite(w->env, "model", &g->params[p],
                                               w->job->params + g->params[p].offset));
    const struct det_compute *compute = det_context_compute(w->context);
    DET_TRY_RETURN(det_net_create(w->env, g, compute->ops, w->pool, 1, DET_NET_INFER, &w->net));
    return create_way(w, &w->way);
}

/* The pictures that pass the network: twice all, and those of the choices. */
static int64_t work_ahead(const struct det_quantise_work *w)
{
    const int64_t measured = w->images < MEASURED_IMAGES ? w->images : MEASURED_IMAGES;
    const int64_t few = w->images < LAYER_IMAGES ? w->images : LAYER_IMAGES;
    int64_t layers = 0;
    for (int32_t i = 0; i < w->job->graph->op_count; i++)
        layers += det_op_is_convolution(&w->job->graph->ops[i]);
    return 2 * w->images + 12 * measured + layers * few;
}

/* With channels equalised, when that is better. Who judges the model may get to see both. */
static det_status try_equalised(struct det_quantise_work *w, const bool *eight_bits,
                                struct det_quantise_made *best)
{
    struct det_quantise_made equalised = {0};
    int32_t count = 0;
    det_status status = DET_OK;
    DET_TRY(create_way(w, &w->other));
    DET_TRY(det_equalise(w->env, w->job->graph, w->way.observed, w->other.params, &count));
    w->other.equalised = count > 0;
    if (w->other.equalised) {
        det_quantise_exchange_ways(w);
        DET_TRY(observe(w));
        DET_TRY(try_observers(w, eight_bits, &equalised));
        if (equalised.error < best->error)
            det_quantise_exchange(best, &equalised);
        else
            det_quantise_exchange_ways(w);
    }
    if (count == 0 || w->job->accept == NULL)
        free_way(w, &w->other);
fail:
    det_quantise_forget(w, &equalised);
    return status;
}

static det_status quantise(struct det_quantise_work *w, bool *eight_bits,
                           struct det_quantise_made *best)
{
    const det_quantisation_settings *s = &w->job->settings;
    w->total = work_ahead(w);
    DET_TRY_RETURN(collect_measured(w));
    DET_TRY_RETURN(observe(w));
    all_in_8_bits(w->job->graph, eight_bits);
    if (s->floats == DET_QUANTISATION_FLOATS_AUTO)
        free_last(w->job->graph, eight_bits);
    DET_TRY_RETURN(try_observers(w, eight_bits, best));
    if (s->equalise)
        DET_TRY_RETURN(try_equalised(w, eight_bits, best));
    if (s->floats == DET_QUANTISATION_FLOATS_AUTO)
        DET_TRY_RETURN(try_floats(w, eight_bits, best));
    DET_TRY_RETURN(find_layer_errors(w, eight_bits, best->quantised));
    w->done = w->total;
    return step(w, 0);
}

det_status det_quantise(struct det_context *context, const struct det_quantise_job *job,
                        float *real, struct det_quantised **quantised)
{
    struct det_quantise_work w = {.context = context,
                                  .env = det_context_env(context),
                                  .job = job,
                                  .pool = det_context_pool(context)};
    struct det_quantise_made best = {0};
    bool *eight_bits = NULL;
    det_status status = DET_OK;
    *quantised = NULL;
    DET_TRY(det_alloc(w.env, &eight_bits, (size_t)job->graph->op_count, sizeof *eight_bits,
                      "quantisation"));
    DET_TRY(prepare(&w));
    DET_TRY(quantise(&w, eight_bits, &best));
    DET_TRY(det_quantise_convince(&w, eight_bits, &best, real, quantised));
    memcpy(real, best.real, job->graph->param_floats * sizeof *real);
    *quantised = best.quantised;
    best.quantised = NULL;
fail:
    det_quantise_forget(&w, &best);
    det_free(w.env, &eight_bits);
    det_measure_free(w.env, &w.measure);
    free_way(&w, &w.way);
    free_way(&w, &w.other);
    det_net_destroy(w.env, &w.net);
    det_resizer_free(w.env, &w.resizer);
    det_image_free(w.env, &w.image);
    det_ground_truth_free(w.env, &w.truth);
    return status == DET_OK ? DET_OK : det_fail_prefix(w.env, status, "quantisation");
}
