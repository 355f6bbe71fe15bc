#include "quantise/quantise.h"

#include <math.h>
#include <string.h>

#include "devices/context.h"
#include "model/input.h"
#include "model/model.h"
#include "model/net.h"
#include "quantise/equalise.h"
#include "quantise/floats.h"
#include "quantise/measure.h"
#include "quantise/ranges.h"
#include "support/finite.h"
#include "support/mem.h"

enum {
    MEASURED_IMAGES = 16, /* that every choice is judged by */
    LAYER_IMAGES = 4,     /* ... that the error of one layer is taken from */
    GIVEN_BACK = 2,       /* layers that go back to float32 at once, with what follows them */
};
/* Of the error that is left: a layer in float32 must make it smaller than this. The last layers are
 * a hundredth of the work, the first is as many products and four times the memory. */
#define LAST_PAYS  0.995
#define CLAMP_PAYS 0.95 /* an observer that leaves values out, against all that was seen */
#define FIRST_PAYS 0.9

/* Parameters of the network, and what was seen of its tensors with them. */
struct way {
    float *params;
    bool equalised;                /* whether they are */
    struct det_observed *observed; /* per tensor */
};

struct work {
    struct det_context *context;
    struct det_env *env;
    const struct det_quantise_job *job;
    struct det_net *net;
    struct det_pool *pool;
    struct det_resizer resizer;
    struct det_image image;
    struct det_ground_truth truth;
    int64_t images;
    struct way way;
    struct det_measure measure;
    int64_t done, total; /* pictures through the network, for the progress */
};

/* The best way so far, and how good it is. */
struct best {
    struct det_quantised *quantised;
    float *real;
    double error;
};

static det_status step(struct work *w, int64_t pictures)
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
static det_status load(struct work *w, int64_t index)
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
    struct work *work;
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
static det_status observe(struct work *w)
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
static det_status collect_measured(struct work *w)
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

static void forget(const struct work *w, struct best *best)
{
    det_quantised_destroy(w->env, &best->quantised);
    det_free(w->env, &best->real);
}

/* The network in 8 bits in one way. */
static det_status make_way(struct work *w, const struct det_ranges_choice *choice,
                           struct best *made)
{
    det_status status = DET_OK;
    *made = (struct best){0};
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
    made->quantised->score_error = error.scores;
    made->quantised->box_error = error.boxes;
fail:
    if (status != DET_OK)
        forget(w, made);
    return status;
}

/* Keeps it if it is the best so far by more than `margin` of the error. */
static det_status try_way(struct work *w, const struct det_ranges_choice *choice, double margin,
                          struct best *best)
{
    struct best made;
    DET_TRY_RETURN(make_way(w, choice, &made));
    if (best->quantised == NULL || made.error < margin * best->error) {
        const struct best old = *best;
        *best = made;
        made = old;
    }
    forget(w, &made);
    return DET_OK;
}

static void all_in_8_bits(const struct det_graph *g, bool *eight_bits)
{
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = det_op_is_convolution(&g->ops[i]);
}

static struct det_ranges_choice choice_of(const struct work *w, int32_t observer,
                                          const bool *eight_bits)
{
    return (struct det_ranges_choice){.observer = (det_quantisation_observer)observer,
                                      .eight_bits = eight_bits,
                                      .correct_biases = w->job->settings.correct_biases != 0};
}

static det_status try_observers(struct work *w, const bool *eight_bits, struct best *best)
{
    const det_quantisation_settings *s = &w->job->settings;
    for (det_quantisation_observer o = DET_OBSERVER_MINMAX; o <= DET_OBSERVER_SQUARES; o++) {
        const struct det_ranges_choice choice = choice_of(w, (int32_t)o, eight_bits);
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
static det_status try_floats(struct work *w, bool *eight_bits, struct best *best)
{
    const struct det_graph *g = w->job->graph;
    for (int way = 0; way < 2; way++) {
        all_in_8_bits(g, eight_bits);
        if (way == 1) {
            free_last(g, eight_bits);
            free_first(g, eight_bits);
        }
        const struct det_ranges_choice choice = choice_of(w, best->quantised->observer, eight_bits);
        DET_TRY_RETURN(try_way(w, &choice, way == 0 ? 1 / LAST_PAYS : FIRST_PAYS, best));
    }
    return DET_OK;
}

/* How much each convolution alone adds; weights that levels share, all together. */
static det_status find_layer_errors(struct work *w, bool *eight_bits, struct det_quantised *q)
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
        const struct det_ranges_choice choice = choice_of(w, q->observer, eight_bits);
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

/* --- until it is accepted --- */

/* Without the worst of the layers that are in 8 bits so far, and what has to follow them. False in
 * *done: with that too much would be in float32. */
static det_status give_back(struct work *w, bool *eight_bits, struct best *best, bool *done)
{
    const struct det_graph *g = w->job->graph;
    struct best made = {0};
    float *errors = best->quantised->errors;
    det_status status = DET_OK;
    int32_t taken = 0;
    if (w->job->settings.floats == DET_QUANTISATION_FLOATS_AUTO)
        DET_TRY(det_floats_take_worst(w->env, g, errors, GIVEN_BACK, DET_QUANTISATION_MOST_FLOAT,
                                      eight_bits, &taken));
    *done = taken > 0;
    while (*done) {
        const struct det_ranges_choice choice = choice_of(w, best->quantised->observer, eight_bits);
        forget(w, &made);
        DET_TRY(make_way(w, &choice, &made));
        if (!det_floats_take_mixed(g, made.quantised, eight_bits))
            break;
        *done = det_floats_share(g, eight_bits) <= DET_QUANTISATION_MOST_FLOAT;
    }
    if (*done) {
        memcpy(made.quantised->errors, errors, (size_t)g->op_count * sizeof *errors);
        const struct best old = *best;
        *best = made;
        made = old;
    }
fail:
    forget(w, &made);
    return status;
}

/* What is made lies in the places of the results meanwhile. */
static det_status ask(const struct work *w, const struct best *best, float *real,
                      struct det_quantised **quantised, bool *accepted)
{
    const struct det_quantise_job *job = w->job;
    *accepted = true;
    if (job->accept == NULL)
        return DET_OK;
    memcpy(real, best->real, job->graph->param_floats * sizeof *real);
    *quantised = best->quantised;
    const int answer = job->accept(job->accept_user);
    *quantised = NULL;
    *accepted = answer > 0;
    return answer >= 0 ? DET_OK
                       : det_fail(w->env, DET_STATUS_CANCELLED, "quantisation was stopped");
}

static det_status convince(struct work *w, bool *eight_bits, struct best *best, float *real,
                           struct det_quantised **quantised)
{
    const struct det_graph *g = w->job->graph;
    bool accepted = false;
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = best->quantised->eight_bits[i] && det_op_is_convolution(&g->ops[i]);
    for (int tries = 1; !accepted; tries++) {
        bool done = true;
        const double share = det_floats_share(g, eight_bits);
        DET_TRY_RETURN(ask(w, best, real, quantised, &accepted));
        if (!accepted)
            DET_TRY_RETURN(give_back(w, eight_bits, best, &done));
        if (!done)
            return det_fail(w->env, DET_STATUS_MISMATCH,
                            "no model was accepted: %d made, the last with %.0f %% of the "
                            "multiplications in float32",
                            tries, 100 * share);
    }
    return DET_OK;
}

/* --- the whole --- */

static det_status create_way(const struct work *w, struct way *way)
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

static void free_way(const struct work *w, struct way *way)
{
    for (int32_t t = 0; way->observed != NULL && t < w->job->graph->tensor_count; t++)
        det_observed_free(w->env, &way->observed[t]);
    det_free(w->env, &way->observed);
    det_free(w->env, &way->params);
}

static det_status prepare(struct work *w)
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
static int64_t work_ahead(const struct work *w)
{
    const int64_t measured = w->images < MEASURED_IMAGES ? w->images : MEASURED_IMAGES;
    const int64_t few = w->images < LAYER_IMAGES ? w->images : LAYER_IMAGES;
    int64_t layers = 0;
    for (int32_t i = 0; i < w->job->graph->op_count; i++)
        layers += det_op_is_convolution(&w->job->graph->ops[i]);
    return 2 * w->images + 12 * measured + layers * few;
}

static void exchange(struct work *w, struct way *other)
{
    const struct way now = w->way;
    w->way = *other;
    *other = now;
}

/* With channels equalised, when that is better. */
static det_status try_equalised(struct work *w, const bool *eight_bits, struct best *best)
{
    struct best equalised = {0};
    struct way other = {0};
    int32_t count = 0;
    det_status status = DET_OK;
    DET_TRY(create_way(w, &other));
    DET_TRY(det_equalise(w->env, w->job->graph, w->way.observed, other.params, &count));
    other.equalised = count > 0;
    if (other.equalised) {
        exchange(w, &other);
        DET_TRY(observe(w));
        DET_TRY(try_observers(w, eight_bits, &equalised));
        if (equalised.error < best->error) {
            const struct best plain = *best;
            *best = equalised;
            equalised = plain;
        } else {
            exchange(w, &other);
        }
    }
fail:
    forget(w, &equalised);
    free_way(w, &other);
    return status;
}

static det_status quantise(struct work *w, bool *eight_bits, struct best *best)
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
    struct work w = {.context = context,
                     .env = det_context_env(context),
                     .job = job,
                     .pool = det_context_pool(context)};
    struct best best = {0};
    bool *eight_bits = NULL;
    det_status status = DET_OK;
    *quantised = NULL;
    DET_TRY(det_alloc(w.env, &eight_bits, (size_t)job->graph->op_count, sizeof *eight_bits,
                      "quantisation"));
    DET_TRY(prepare(&w));
    DET_TRY(quantise(&w, eight_bits, &best));
    DET_TRY(convince(&w, eight_bits, &best, real, quantised));
    memcpy(real, best.real, job->graph->param_floats * sizeof *real);
    *quantised = best.quantised;
    best.quantised = NULL;
fail:
    forget(&w, &best);
    det_free(w.env, &eight_bits);
    det_measure_free(w.env, &w.measure);
    free_way(&w, &w.way);
    det_net_destroy(w.env, &w.net);
    det_resizer_free(w.env, &w.resizer);
    det_image_free(w.env, &w.image);
    det_ground_truth_free(w.env, &w.truth);
    return status == DET_OK ? DET_OK : det_fail_prefix(w.env, status, "quantisation");
}
