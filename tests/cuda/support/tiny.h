/* tiny.h: a small network with a batch of images and boxes, learned by the CPU and by CUDA side by
 * side.
 *
 * With frozen batch norms the two stay together for many steps. With the batch's statistics a
 * network this small is chaotic: two instruction sets of the CPU disagree by 1e-4 in the gradient's
 * norm after one step and by a tenth after three. Tests then let CUDA follow the CPU after each
 * step. */
#ifndef DET_TESTS_CUDA_TINY_H
#define DET_TESTS_CUDA_TINY_H

#include "devices/backend.h"
#include "support/test.h"
#include "train/learner.h"

#ifdef DET_CUDA_EMU
#include "cuda_emu_counts.h"
#endif

enum { TINY_BATCH = 2, TINY_SIDE = 80, TINY_CLASSES = 3 };

/* What differs between tests; zeros are the usual. */
struct tiny_settings {
    struct det_device_settings device;
    enum det_update_rule rule;
    bool freeze_batchnorm;
    float clip_norm, average_decay;
    int32_t accumulate; /* 0: 1 */
    /* Other ranks, with whom CUDA learns, each from a batch of its own; the CPU then has one after
     * the other (tiny_turn()), and makes an update of all of them. */
    struct det_communicator *communicator;
    bool bf16_gradients, sync_batch_norm;
    size_t bucket_floats;
    bool (*wants_stop)(void *user);
    bool quantise; /* trained in 8 bits after so many updates */
    int64_t quantise_delay;
    int32_t min_level, max_level; /* 0: 3 and 7 */
    bool own_towers;              /* for boxes and classes */
    int32_t boxes;                /* of the first image; the second has one less; 0: three */
};

struct tiny {
    struct test_env t;
    struct det_env *env;
    const struct det_backend *backend;
    struct det_device *device, *cpu_device;
    struct det_learner *cpu, *gpu; /* the same initial parameters */
    float *images;
    struct det_ground_truth truths[TINY_BATCH];
    int32_t boxes;
    long alive; /* objects of the device's before */
};

void tiny_open(struct tiny *tiny, const struct tiny_settings *settings);
/* Also asserts that nothing is left, on the device neither. */
void tiny_close(struct tiny *tiny);
void tiny_spec(struct det_model_spec *spec);
/* What a learner of it wants, alone and of one batch an update. */
void tiny_learning(const struct tiny_settings *settings, struct det_learner_settings *learning);
/* Replaces the boxes. */
void tiny_boxes(struct tiny *tiny, int32_t count);
/* Another batch, images and boxes: number 0 is that of the beginning. */
void tiny_turn(struct tiny *tiny, int32_t number);

/* A step on each, counted in each learner; both must succeed. */
void tiny_steps(struct tiny *tiny, float learning_rate, struct det_step_result *cpu,
                struct det_step_result *gpu);
/* Relative differences of the losses, and of the gradient's norm. */
void tiny_compare_results(const struct det_step_result *cpu, const struct det_step_result *gpu,
                          double bound, double norm_bound);
/* Pulls; all parameters together, each optimizer slot together, in relative l2. */
void tiny_compare_params(struct tiny *tiny, double bound, double slot_bound);
/* Each moving mean and variance, as pulled. */
void tiny_compare_moving(struct tiny *tiny, double bound);
/* CUDA goes on from the CPU's numbers. */
void tiny_follow(struct tiny *tiny);

#endif
