#include "support/networks.h"

#include <math.h>

#include "support/formula.h"
#include "support/mem.h"

const struct network networks[NETWORKS] = {
    {"small", 64, 64, 1, 0.25f, 24, false, false, false, 3, 3},
    {"odd sizes, batch of 2", 75, 101, 2, 0.35f, 32, false, false, false, 3, 1},
    {"as small as can be", 33, 33, 3, 0.1f, 8, false, false, true, 3, 20},
    {"wide", 40, 290, 1, 0.5f, 40, false, false, false, 3, 2},
    {"dense pyramid and head", 70, 66, 1, 0.25f, 16, true, true, false, 3, 1},
    {"head of 5 x 5", 65, 97, 2, 0.2f, 24, false, false, true, 5, 4},
    {"sums that are cut", 64, 48, 1, 1.0f, 272, false, false, false, 3, 7},
};

void network_spec(const struct network *n, struct det_model_spec *spec)
{
    det_model_spec_default(spec, 64, n->classes);
    spec->input_height = n->height;
    spec->input_width = n->width;
    spec->depth_multiplier = n->alpha;
    spec->min_depth = 8;
    spec->fpn_depth = spec->head_depth = n->depth;
    spec->head_layers = 2;
    spec->fpn_depthwise = !n->dense_fpn;
    spec->head_depthwise = !n->dense_head;
    spec->share_tower = !n->apart;
    spec->head_kernel = n->head_kernel;
}

void network_make(struct det_env *env, const struct network *n, struct det_graph *training,
                  struct det_graph *folded, float **params, float **pixels)
{
    struct det_model_spec spec;
    network_spec(n, &spec);
    float *unfolded = NULL;
    assert_ok(env, det_graph_build(env, &spec, false, training));
    assert_ok(env, det_graph_build(env, &spec, true, folded));
    assert_ok(env, det_alloc(env, &unfolded, training->param_floats, sizeof(float), "params"));
    assert_ok(env, det_alloc(env, params, folded->param_floats, sizeof(float), "params"));
    formula_params(training, unfolded);
    det_graph_fold_params(training, unfolded, folded, *params);
    det_free(env, &unfolded);
    const size_t count = (size_t)n->batch * (size_t)n->height * (size_t)n->width * 3;
    assert_ok(env, det_alloc(env, pixels, count, sizeof(float), "image"));
    test_fill(*pixels, count, 5);
}

static uint32_t state_of_draws;

static int32_t draw(int32_t low, int32_t high)
{
    state_of_draws = state_of_draws * 1664525U + 1013904223U;
    return (int32_t)(low +
                     (int64_t)((uint64_t)(state_of_draws >> 8) * (uint64_t)(high - low + 1) >> 24));
}

static bool in_float(const struct det_graph *g, int32_t i, enum network_floats floats)
{
    const bool last = det_graph_is_output(g, g->ops[i].out), first = g->ops[i].in == 0;
    return ((floats == NETWORK_LAST || floats == NETWORK_FIRST_AND_LAST) && last) ||
           ((floats == NETWORK_FIRST || floats == NETWORK_FIRST_AND_LAST) && first) ||
           (floats == NETWORK_SOME && i % 7 == 2);
}

/* Whether all that an addition reads and writes is in 8 bits. */
static bool reads_8_bits(const struct det_graph *g, const struct det_quantised *q, int32_t index)
{
    const struct det_op *op = &g->ops[index];
    bool all = true;
    for (int32_t j = 0; j < g->op_count; j++) {
        const struct det_op *other = &g->ops[j];
        const bool touches = other->out == op->in || other->out == op->in2 ||
                             other->in == op->out || other->in2 == op->out;
        all &= !touches || other->weight < 0 || q->eight_bits[j];
    }
    return all;
}

static void quantise_weights(struct det_env *env, const struct det_param *p, int32_t channels,
                             float *values, struct det_q8_weights *to)
{
    float *limits = malloc((size_t)channels * sizeof *limits);
    assert_non_null(limits);
    for (int32_t c = 0; c < channels; c++)
        limits[c] = 1e-20f;
    for (size_t j = 0; j < p->count; j++)
        limits[j % (size_t)channels] = fmaxf(limits[j % (size_t)channels], fabsf(values[j]));
    assert_ok(env, det_q8_weights_round(env, values, p->count, channels, limits, to));
    det_q8_weights_real(to, p->count, channels, values);
    free(limits);
}

void network_quantise(struct det_env *env, const struct det_graph *g, enum network_floats floats,
                      float *params, struct det_quantised **quantised)
{
    struct det_quantised *q = NULL;
    assert_ok(env, det_quantised_create(env, g, &q));
    *quantised = q;
    q->tensors[0] = det_q8_input_tensor();
    for (int32_t t = 1; t < g->tensor_count; t++)
        q->tensors[t] = det_q8_tensor_of(-draw(0, 300) / 100.0, draw(30, 500) / 100.0);
    for (int32_t i = 0; i < g->op_count; i++) {
        const struct det_op *op = &g->ops[i];
        q->eight_bits[i] = !in_float(g, i, floats);
        if (op->act == DET_ACTIVATION_RELU6)
            q->tensors[op->out] = det_q8_tensor_of(0, draw(150, 600) / 100.0);
        if (op->weight >= 0 && q->weights[op->weight].values == NULL)
            quantise_weights(env, &g->params[op->weight], g->tensors[op->out].channels,
                             params + g->params[op->weight].offset, &q->weights[op->weight]);
    }
    for (int32_t i = 0; i < g->op_count; i++)
        if (g->ops[i].kind == DET_OP_ADD || g->ops[i].kind == DET_OP_UPSAMPLE_ADD)
            q->eight_bits[i] = reads_8_bits(g, q, i);
}
