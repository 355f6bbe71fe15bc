/* backend.h: what a device does with a whole model: train it, run it. The CPU does it with the
 * operations of ops.h and the host's own memory (model/, train/); CUDA with kernels/ and memory of
 * its own (devices/cuda/). registry.c knows which exist in this build.
 *
 * Life cycle: open a device, create a step (training) or runner (inference) for fixed shapes: all
 * memory is taken there; then run as often as wanted without allocation. All calls on one device
 * come from one thread at a time.
 *
 * A step and a run come in pieces, so that a device that works on its own is never kept waiting for
 * its input:
 *
 *     stage(batch 0)
 *     begin, stage(batch 1), end      the device computes on batch 0 while batch 1 is copied
 *     begin, stage(batch 2), end
 *
 * Only where `stages_ahead` is true may the next input be given between begin and end.
 */
#ifndef DET_DEVICES_BACKEND_H
#define DET_DEVICES_BACKEND_H

#include "det/detector.h"
#include "support/env.h"

struct det_pool;
struct det_ops;
struct det_graph;
struct det_model_spec;
struct det_quantised;
struct det_learner;
struct det_step_result;
struct det_ground_truth;
struct det_postprocess_settings;
struct det_detections;
struct det_frame;
struct det_picture;

/* Multiplications of dense convolutions; sums, statistics, losses and master weights are float32 in
 * each. */
enum det_precision {
    DET_PRECISION_F32,
    DET_PRECISION_TF32, /* float32 storage, tensor cores round operands to 10 bits of mantissa */
    /* activations and their gradients stored in bf16; on the CPU only inference stores them so,
     * training rounds the operands of 1x1 convolutions */
    DET_PRECISION_BF16,
    /* of networks in 8 bits alone (model/quantised.h), none is trained so; what of them is in
     * float32 stays so */
    DET_PRECISION_INT8,
};

struct det_device_settings {
    int32_t index; /* -1: the first usable one */
    enum det_precision precision;
    bool no_graph;      /* launch operations one by one instead of one recorded graph */
    bool deterministic; /* same input, same bits: library algorithms that may not be are left out */
    /* algorithms as the libraries guess them, none timed when a step or runner is made */
    bool no_tuning;
    struct det_pool *pool;     /* CPU threads for what stays on the host */
    const struct det_ops *ops; /* CPU operations */
};

struct det_device;   /* a backend's own */
struct det_step;     /* one training step, ready to run */
struct det_runner;   /* inference, ready to run */
struct det_measurer; /* statistics of batches for batch norms, ready to run */

struct det_runner_settings {
    const struct det_model_spec *spec;
    const struct det_graph *graph;         /* borrowed */
    const float *params;                   /* copied to the device; the CPU may borrow them */
    const struct det_quantised *quantised; /* borrowed: the network in 8 bits; NULL: float32 */
    /* float images instead of pictures, logits and encodings wanted too. A training graph runs as
     * DET_NET_EVALUATE, a folded one as DET_NET_INFER */
    bool evaluate;
    bool outputs; /* logits and encodings wanted of pictures, too */
    int32_t batch;
    /* Read at creation only; its class_thresholds, borrowed, whenever a run begins. */
    const struct det_postprocess_settings *postprocess;
    const float (*anchors)[4]; /* borrowed */
    int32_t anchor_count;
};

struct det_backend {
    const char *name; /* "cpu", "cuda" */
    /* Input that is given is copied at once, and may be given while a step or run is under way: for
     * the one after it. False on the CPU, which computes in end: a staged batch stays the caller's
     * and must be left alone until then. */
    bool stages_ahead;

    det_status (*device_open)(struct det_env *env, const struct det_device_settings *settings,
                              struct det_device **device);
    void (*device_close)(struct det_env *env, struct det_device **device);
    /* "cuda:0: NVIDIA H100 80GB HBM3, bf16", at most `bytes` with the NUL. */
    void (*device_describe)(const struct det_device *device, char *text, size_t bytes);

    /* A step for the learner's graph, settings and batch size. The learner's host arrays (params,
     * slots, gradients) are what files are read into and written from; push copies them to the
     * device, pull back. On the CPU they are the arrays themselves and both do nothing.
     * OUT_OF_MEMORY names the bytes needed, those there and the largest batch that fits. */
    det_status (*step_create)(struct det_env *env, struct det_device *device,
                              struct det_learner *learner, struct det_step **step);
    void (*step_destroy)(struct det_env *env, struct det_step **step);
    size_t (*step_bytes)(
        const struct det_step *step); /* activations and all else taken on the device */
    det_status (*step_push)(struct det_env *env, struct det_step *step); /* params and slots */
    det_status (*step_pull)(struct det_env *env, struct det_step *step); /* params and slots */
    det_status (*step_pull_gradients)(struct det_env *env, struct det_step *step);
    /* Losses and gradients, nothing updated; then the update with them. learner->updates is the
     * number of steps done, counted up by the learner. Images as det_learner_step(). */
    det_status (*step_gradients)(struct det_env *env, struct det_step *step, const float *images,
                                 const struct det_ground_truth *truths,
                                 struct det_step_result *result);
    det_status (*step_update)(struct det_env *env, struct det_step *step, float learning_rate,
                              const struct det_step_result *result);
    /* Both at once, in pieces: a batch is handed over (what was staged and not begun is replaced),
     * the step on it begun, its figures waited for. Whatever end returns, the step is over. After
     * NON_FINITE nothing was updated. */
    det_status (*step_stage)(struct det_env *env, struct det_step *step, const float *images,
                             const struct det_ground_truth *truths);
    /* The same batch as pictures (data/picture.h) [N], of which the device makes the floats, with
     * the bits that the host would make. NULL where a device wants floats: the CPU. */
    det_status (*step_stage_pictures)(struct det_env *env, struct det_step *step,
                                      const struct det_picture *pictures,
                                      const struct det_ground_truth *truths);
    det_status (*step_begin)(struct det_env *env, struct det_step *step, float learning_rate);
    det_status (*step_end)(struct det_env *env, struct det_step *step,
                           struct det_step_result *result);

    det_status (*runner_create)(struct det_env *env, struct det_device *device,
                                const struct det_runner_settings *settings,
                                struct det_runner **runner);
    void (*runner_destroy)(struct det_env *env, struct det_runner **runner);
    /* Place `index` of the batch: a picture of any size (checked view), put into the frame. Each
     * place is to be set before each run. */
    det_status (*runner_set_picture)(struct det_env *env, struct det_runner *runner, int32_t index,
                                     const det_image_view *view, const struct det_frame *frame);
    /* The whole batch from float pixels [batch, height, width, 3] of 0..255 already resized;
     * windows [batch][4]. */
    det_status (*runner_set_images)(struct det_env *env, struct det_runner *runner,
                                    const float *images, int32_t height, int32_t width,
                                    const float (*windows)[4]);
    /* Network and post-processing of the pictures set: begun, and waited for. Whatever end returns,
     * the run is over. */
    det_status (*runner_begin)(struct det_env *env, struct det_runner *runner);
    det_status (*runner_end)(struct det_env *env, struct det_runner *runner);
    /* Of the last run, until the next begins; belongs to the runner. NON_FINITE when the image's
     * outputs are not finite. */
    det_status (*runner_detections)(struct det_env *env, struct det_runner *runner, int32_t index,
                                    const struct det_detections **detections);
    /* Of the last run: the highest score of an image and its class, above the threshold or not.
     * NON_FINITE as above. */
    det_status (*runner_top_score)(struct det_env *env, struct det_runner *runner, int32_t index,
                                   float *score, int32_t *class_index);
    /* Host copies of the last run's outputs [batch][A][K + 1] and [batch][A][4]; only with
     * `evaluate` or `outputs`. */
    det_status (*runner_outputs)(struct det_env *env, struct det_runner *runner,
                                 const float **logits, const float **encodings);
    /* Nanoseconds of the last run's preprocessing, network, post-processing; where a device cannot
     * tell them apart, all in the network's. */
    void (*runner_times)(const struct det_runner *runner, uint64_t ns[3]);
    size_t (*runner_bytes)(const struct det_runner *runner);

    /* A training graph forward only, each batch norm with the batch's own statistics, which are
     * what is wanted. `params` are copied to the device; the CPU may borrow them. `idle`: NULL, or
     * a step for this graph in mode TRAIN that is not under way while the measurer lives: where
     * memory is shared with the host its own serves for both, and `batch` must be the step's. */
    det_status (*measurer_create)(struct det_env *env, struct det_device *device,
                                  const struct det_graph *graph, const float *params, int32_t batch,
                                  struct det_step *idle, struct det_measurer **measurer);
    void (*measurer_destroy)(struct det_env *env, struct det_measurer **measurer);
    /* Float pixels [batch, height, width, 3] of 0..255 already resized; waits for the end. */
    det_status (*measurer_run)(struct det_env *env, struct det_measurer *measurer,
                               const float *images, int32_t height, int32_t width);
    /* Of the last run, until the next: mean and variance [c] over the batch of what batch norm `op`
     * of the graph normalised. */
    void (*measurer_statistics)(const struct det_measurer *measurer, int32_t op, const float **mean,
                                const float **variance);
};

/* A run from begin to end. */
static inline det_status det_backend_run(struct det_env *env, const struct det_backend *backend,
                                         struct det_runner *runner)
{
    DET_TRY_RETURN(backend->runner_begin(env, runner));
    return backend->runner_end(env, runner);
}

const struct det_backend *det_backend_cpu(void);
/* The CUDA backend from its library (backend_library.h), or the one that the program is linked
 * with. Errors as det_own_library_open(). */
det_status det_backend_find_cuda(struct det_env *env, const struct det_backend **backend);
const struct det_backend *det_backend_cuda(void); /* only where the program is linked with it */

/* registry.c: opens the device that "auto", "cpu", "cuda" or "cuda:I" names; auto takes CUDA when
 * its library and a usable GPU are there, else the CPU. DEVICE with the cause when it cannot be
 * had. */
det_status det_backend_open(struct det_env *env, const char *device_text,
                            const struct det_device_settings *settings,
                            const struct det_backend **backend, struct det_device **device);

#endif
