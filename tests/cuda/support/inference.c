#include "cuda/support/inference.h"

#include "model/spec_anchors.h"
#include "support/formula.h"
#include "support/mem.h"

/* A model of the formula's weights, in training form or folded. */
static void make_model(struct inference *f, const struct inference_settings *settings)
{
    struct det_graph training = {0};
    float *params = NULL;
    tiny_spec(&f->spec);
    f->spec.fpn_depthwise = f->spec.head_depthwise = !settings->dense;
    assert_ok(f->env, det_graph_build(f->env, &f->spec, false, &training));
    assert_ok(f->env, det_alloc(f->env, &params, training.param_floats, sizeof(float), "params"));
    formula_params(&training, params);
    if (!settings->folded) {
        f->graph = training;
        f->params = params;
        return;
    }
    assert_ok(f->env, det_graph_build(f->env, &f->spec, true, &f->graph));
    assert_ok(f->env,
              det_alloc(f->env, &f->params, f->graph.param_floats, sizeof(float), "params"));
    det_graph_fold_params(&training, params, &f->graph, f->params);
    det_free(f->env, &params);
    det_graph_free(f->env, &training);
}

void inference_open(struct inference *f, const struct inference_settings *settings)
{
    *f = (struct inference){.backend = det_backend_cuda()};
    test_env_init(&f->t);
    f->env = &f->t.env;
    make_model(f, settings);
    int32_t anchor_count = 0;
    assert_ok(f->env, det_spec_anchors(f->env, &f->spec, &f->anchors, &anchor_count));
    det_postprocess_settings_default(&f->nms);
    f->nms.score_threshold = 0.005f;
    f->nms.max_total_detections = 40;
    assert_ok(f->env,
              det_postprocess_create(f->env, &f->nms, (const float(*)[4])f->anchors, anchor_count,
                                     f->spec.num_classes, NULL, &f->postprocess));
    const char *reason = NULL;
    assert_ok(f->env,
              det_net_create(f->env, &f->graph, det_ops_cpu("auto", &reason), NULL, TINY_BATCH,
                             settings->folded ? DET_NET_INFER : DET_NET_EVALUATE, &f->net));
    f->settings = (struct det_runner_settings){
        .spec = &f->spec,
        .graph = &f->graph,
        .params = f->params,
        .evaluate = settings->evaluate,
        .batch = TINY_BATCH,
        .postprocess = &f->nms,
        .anchors = (const float(*)[4])f->anchors,
        .anchor_count = anchor_count,
    };
    assert_ok(f->env, f->backend->device_open(f->env, &settings->device, &f->device));
    assert_ok(f->env, f->backend->runner_create(f->env, f->device, &f->settings, &f->runner));
}

void inference_close(struct inference *f)
{
    f->backend->runner_destroy(f->env, &f->runner);
    f->backend->device_close(f->env, &f->device);
    det_net_destroy(f->env, &f->net);
    det_postprocess_destroy(f->env, &f->postprocess);
    det_free(f->env, &f->anchors);
    det_free(f->env, &f->params);
    det_graph_free(f->env, &f->graph);
    test_env_check(&f->t);
}

void inference_run(struct inference *f, const struct det_backend *backend,
                   struct det_runner *runner, const float *images, const float **logits,
                   const float **encodings)
{
    static const float windows[TINY_BATCH][4] = {{0, 0, 1, 1}, {0, 0, 1, 1}};
    assert_ok(f->env,
              backend->runner_set_images(f->env, runner, images, TINY_SIDE, TINY_SIDE, windows));
    assert_ok(f->env, det_backend_run(f->env, backend, runner));
    assert_ok(f->env, backend->runner_outputs(f->env, runner, logits, encodings));
}
