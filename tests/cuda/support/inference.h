/* inference.h: a small network for inference by the CUDA backend, and the same on the CPU. */
#ifndef DET_TESTS_CUDA_INFERENCE_H
#define DET_TESTS_CUDA_INFERENCE_H

#include "cuda/support/tiny.h"
#include "model/net.h"
#include "model/postprocess.h"

/* What differs between tests. */
struct inference_settings {
    struct det_device_settings device;
    bool evaluate; /* float images, outputs wanted */
    bool folded;   /* as exported, else the training form */
    bool dense;    /* pyramid and head of dense 3x3 convolutions instead of separable ones */
};

struct inference {
    struct test_env t;
    struct det_env *env;
    const struct det_backend *backend;
    struct det_device *device;
    struct det_runner *runner;
    struct det_model_spec spec;
    struct det_graph graph;
    float *params; /* the formula's weights */
    float (*anchors)[4];
    struct det_postprocess_settings nms;
    struct det_postprocess *postprocess;
    struct det_net *net; /* the CPU's, of the same batch TINY_BATCH */
    struct det_runner_settings settings;
};

void inference_open(struct inference *f, const struct inference_settings *settings);
/* Also asserts that nothing is left. */
void inference_close(struct inference *f);
/* The outputs of a runner, the device's or one of the CPU's, for images [TINY_BATCH, TINY_SIDE,
 * TINY_SIDE, 3] in whole windows. */
void inference_run(struct inference *f, const struct det_backend *backend,
                   struct det_runner *runner, const float *images, const float **logits,
                   const float **encodings);

#endif
