/* model/graph: keys and shapes as the API's checkpoint has them; odd sizes and other configurations
 * build. */
#include <math.h>

#include "model/graph.h"
#include "support/formula.h"
#include "support/mem.h"
#include "support/test.h"

static void keys_and_shapes_are_the_checkpoints(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_model_spec spec;
    det_model_spec_default(&spec, 320, 3);
    struct det_graph graph;
    assert_ok(&t.env, det_graph_build(&t.env, &spec, false, &graph));
    char path[256];
    char *text = test_read_text(test_golden(path, "model320/variables.txt"));
    int32_t found = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char key[256], shape[64], ours[64] = "";
        assert_int_equal(sscanf(line, "%255s %63s", key, shape), 2);
        const int32_t index = det_graph_find_param(&graph, key);
        if (index < 0)
            fail_msg("no parameter %s", key);
        const struct det_param *p = &graph.params[index];
        for (int32_t d = 0; d < p->dims; d++)
            snprintf(ours + strlen(ours), sizeof ours - strlen(ours), "%s%d", d ? "x" : "",
                     p->shape[d]);
        assert_string_equal(ours, shape);
        assert_true(p->stored);
        found++;
    }
    free(text);
    assert_int_equal(found, 384);
    assert_int_equal(graph.param_count, 384);
    assert_int_equal(graph.anchor_count, 12804);
    int regularised = 0;
    for (int32_t i = 0; i < graph.param_count; i++)
        regularised += graph.params[i].l2 > 0;
    assert_int_equal(regularised, 63);
    det_graph_free(&t.env, &graph);
    test_env_check(&t);
}

static void other_configurations_build(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    const int32_t sizes[] = {33, 96, 100, 320, 333, 640};
    const float alphas[] = {0.1f, 0.35f, 0.75f, 1.0f, 1.4f};
    for (size_t s = 0; s < 6; s++) {
        for (size_t a = 0; a < 5; a++) {
            for (int form = 0; form < 4; form++) {
                struct det_model_spec spec;
                det_model_spec_default(&spec, sizes[s], 1 + (int32_t)a);
                spec.depth_multiplier = alphas[a];
                spec.fpn_depthwise = spec.head_depthwise = (form & 1) != 0;
                spec.share_tower = (form & 2) != 0;
                spec.min_level = 2 + (int32_t)(s % 3);
                spec.input_width = sizes[(s + 1) % 6];
                struct det_graph graph, folded;
                assert_ok(&t.env, det_graph_build(&t.env, &spec, false, &graph));
                assert_ok(&t.env, det_graph_build(&t.env, &spec, true, &folded));
                assert_int_equal(graph.anchor_count, folded.anchor_count);
                det_graph_free(&t.env, &graph);
                det_graph_free(&t.env, &folded);
            }
        }
    }
    struct det_model_spec spec;
    struct det_graph graph;
    det_model_spec_default(&spec, 32, 1);
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "input height is 32",
                 det_graph_build(&t.env, &spec, false, &graph));
    det_model_spec_default(&spec, 320, 0);
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "num_classes is 0",
                 det_graph_build(&t.env, &spec, false, &graph));
    det_model_spec_default(&spec, 320, 1);
    spec.depth_multiplier = NAN;
    assert_fails(&t.env, DET_STATUS_INVALID_ARGUMENT, "depth_multiplier",
                 det_graph_build(&t.env, &spec, false, &graph));
    test_env_check(&t);
}

static void initial_values_follow_the_config(void **state)
{
    (void)state;
    struct test_env t;
    test_env_init(&t);
    struct det_model_spec spec;
    det_model_spec_default(&spec, 320, 1);
    spec.backbone.init = (struct det_init_spec){.kind = DET_INIT_TRUNCATED_NORMAL, .b = 0.03f};
    spec.fpn.init = (struct det_init_spec){
        .kind = DET_INIT_VARIANCE_SCALING, .a = 2.0f, .fan_mode = DET_INIT_FAN_IN};
    struct det_graph graph;
    assert_ok(&t.env, det_graph_build(&t.env, &spec, false, &graph));
    float *params = NULL, *again = NULL;
    assert_ok(&t.env, det_alloc(&t.env, &params, graph.param_floats, 4, "p"));
    assert_ok(&t.env, det_alloc(&t.env, &again, graph.param_floats, 4, "p"));
    det_graph_init_params(&graph, 7, params);
    det_graph_init_params(&graph, 7, again);
    assert_memory_equal(params, again, graph.param_floats * 4);
    det_graph_init_params(&graph, 8, again);
    assert_memory_not_equal(params, again, graph.param_floats * 4);
    for (int32_t i = 0; i < graph.param_count; i++) {
        const struct det_param *p = &graph.params[i];
        double squares = 0, largest = 0;
        for (size_t j = 0; j < p->count; j++) {
            const double v = (double)params[p->offset + j];
            squares += v * v;
            largest = fmax(largest, fabs(v));
        }
        const double rms = sqrt(squares / (double)p->count);
        if (p->count < 2000 || p->dims != 4)
            continue;
        if (p->role == DET_PARAM_POINTWISE) {
            const double limit = sqrt(6.0 / (p->shape[2] + p->shape[3]));
            assert_near(rms / (limit / sqrt(3)), 1, 0.1);
            assert_true(largest <= limit);
        } else if (p->backbone) {
            /* a normal cut at two deviations keeps .8796 of its deviation */
            assert_near(rms / (0.03 * 0.8796), 1, 0.1);
            assert_true(largest <= 0.0601);
        } else if (strstr(p->key, "top_layers") != NULL) {
            assert_near(rms / sqrt(2.0 / 1280), 1, 0.05);
        }
    }
    det_free(&t.env, &params);
    det_free(&t.env, &again);
    det_graph_free(&t.env, &graph);
    test_env_check(&t);
}

static det_status build(struct det_env *env, void *argument)
{
    struct det_graph graph;
    const det_status status = det_graph_build(env, argument, false, &graph);
    det_graph_free(env, &graph);
    return status;
}

static void build_survives_failed_allocations(void **state)
{
    (void)state;
    struct det_model_spec spec;
    det_model_spec_default(&spec, 96, 1);
    test_each_allocation_fails(build, &spec);
}

int test_graph(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_shapes_are_the_checkpoints),
        cmocka_unit_test(other_configurations_build),
        cmocka_unit_test(initial_values_follow_the_config),
        cmocka_unit_test(build_survives_failed_allocations),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
