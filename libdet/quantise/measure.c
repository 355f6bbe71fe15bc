#include "quantise/measure.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

double det_output_error_most(struct det_output_error error)
{
    return fmax(error.scores, error.boxes);
}

static size_t input_values(const struct det_graph *g)
{
    const struct det_tensor in = g->tensors[0];
    return (size_t)in.height * (size_t)in.width * (size_t)in.channels;
}

det_status det_measure_create(struct det_env *env, const struct det_graph *graph,
                              struct det_net *net, int32_t images, struct det_measure *m)
{
    const size_t count = (size_t)images, anchors = (size_t)graph->anchor_count;
    det_status status = DET_OK;
    *m = (struct det_measure){.net = net, .graph = graph};
    DET_TRY(det_alloc(env, &m->inputs, count, input_values(graph) * sizeof(float),
                      "pictures to measure"));
    DET_TRY(det_alloc(env, &m->encodings, count, anchors * 4 * sizeof(float), "box encodings"));
    DET_TRY(det_alloc(env, &m->logits, count, anchors * (size_t)graph->class_slots * sizeof(float),
                      "class logits"));
fail:
    if (status != DET_OK)
        det_measure_free(env, m);
    return status;
}

void det_measure_free(struct det_env *env, struct det_measure *m)
{
    det_free(env, &m->inputs);
    det_free(env, &m->encodings);
    det_free(env, &m->logits);
}

void det_measure_add(struct det_measure *m, const float *params)
{
    const size_t anchors = (size_t)m->graph->anchor_count, at = (size_t)m->images;
    const size_t slots = (size_t)m->graph->class_slots, values = input_values(m->graph);
    memcpy(m->inputs + at * values, det_net_input(m->net), values * sizeof(float));
    det_net_forward(m->net, params);
    memcpy(m->encodings + at * anchors * 4, det_net_encodings(m->net), anchors * 4 * sizeof(float));
    memcpy(m->logits + at * anchors * slots, det_net_logits(m->net),
           anchors * slots * sizeof(float));
    m->images++;
}

/* Whole grey levels and the half that the first bias makes good. */
static void round_input(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (det_q8_grey_level(values[i]) - 127.5f) / 127.5f;
}

struct rounding {
    const struct det_measure *measure;
    const struct det_quantised *quantised;
};

static void round_made(void *user, int32_t op, float *made, int64_t rows)
{
    const struct rounding *r = user;
    const struct det_graph *g = r->measure->graph;
    const int32_t tensor = g->ops[op].out;
    const struct det_q8_tensor t = r->quantised->tensors[tensor];
    const int64_t count = rows * g->tensors[tensor].channels;
    if (t.scale == 0)
        return;
    const float least = (float)(-128 - t.zero), most = (float)(127 - t.zero);
    for (int64_t i = 0; i < count; i++)
        made[i] = fminf(fmaxf(rintf(made[i] / t.scale), least), most) * t.scale;
}

struct sums {
    double scores, score_difference, boxes, box_difference;
};

static double score_of(float logit)
{
    return 1 / (1 + exp(-(double)logit));
}

/* The background's slot, the first, is nobody's score. */
static void compare(const struct det_measure *m, int32_t image, struct sums *sums)
{
    const size_t anchors = (size_t)m->graph->anchor_count, slots = (size_t)m->graph->class_slots;
    const float *right_logits = m->logits + (size_t)image * anchors * slots;
    const float *right = m->encodings + (size_t)image * anchors * 4;
    const float *logits = det_net_logits(m->net), *encodings = det_net_encodings(m->net);
    for (size_t a = 0; a < anchors; a++) {
        double highest = 0;
        for (size_t k = 1; k < slots; k++) {
            const double score = score_of(right_logits[a * slots + k]);
            const double off = score_of(logits[a * slots + k]) - score;
            sums->scores += score * score;
            sums->score_difference += off * off;
            highest = fmax(highest, score);
        }
        for (size_t k = 0; k < 4; k++) {
            const double value = (double)right[a * 4 + k];
            const double off = (double)encodings[a * 4 + k] - value;
            sums->boxes += highest * value * value;
            sums->box_difference += highest * off * off;
        }
    }
}

static double share(double difference, double all)
{
    return all > 0 ? sqrt(difference / all) : sqrt(difference);
}

struct det_output_error det_measure_run(const struct det_measure *m,
                                        const struct det_quantised *quantised, const float *real)
{
    const size_t values = input_values(m->graph);
    struct rounding rounding = {m, quantised};
    struct sums sums = {0};
    for (int32_t i = 0; i < m->images; i++) {
        float *input = det_net_input(m->net);
        memcpy(input, m->inputs + (size_t)i * values, values * sizeof *input);
        if (quantised->tensors[0].scale > 0)
            round_input(input, values);
        det_net_watch(m->net, round_made, &rounding);
        det_net_forward(m->net, real);
        det_net_watch(m->net, NULL, NULL);
        compare(m, i, &sums);
    }
    return (struct det_output_error){share(sums.score_difference, sums.scores),
                                     share(sums.box_difference, sums.boxes)};
}
