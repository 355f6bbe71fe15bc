#include "support/networks.h"

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
