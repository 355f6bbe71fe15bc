/* cpu_device.h: the CPU as a device: operations and threads, and the functions of det_backend that
 * cpu_step.c, cpu_runner.c and cpu_measurer.c give to cpu_backend.c's table. */
#ifndef DET_BACKEND_CPU_DEVICE_H
#define DET_BACKEND_CPU_DEVICE_H

#include "devices/backend.h"

struct det_device {
    const struct det_ops *ops; /* borrowed, like the pool */
    struct det_pool *pool;
    enum det_precision precision; /* F32 or BF16 */
};

det_status det_cpu_step_create(struct det_env *env, struct det_device *device,
                               struct det_learner *learner, struct det_step **step);
void det_cpu_step_destroy(struct det_env *env, struct det_step **step);
size_t det_cpu_step_bytes(const struct det_step *step);
det_status det_cpu_step_gradients(struct det_env *env, struct det_step *step, const float *images,
                                  const struct det_ground_truth *truths,
                                  struct det_step_result *result);
det_status det_cpu_step_update(struct det_env *env, struct det_step *step, float learning_rate,
                               const struct det_step_result *result);
det_status det_cpu_step_stage(struct det_env *env, struct det_step *step, const float *images,
                              const struct det_ground_truth *truths);
det_status det_cpu_step_begin(struct det_env *env, struct det_step *step, float learning_rate);
det_status det_cpu_step_end(struct det_env *env, struct det_step *step,
                            struct det_step_result *result);

det_status det_cpu_runner_create(struct det_env *env, struct det_device *device,
                                 const struct det_runner_settings *settings,
                                 struct det_runner **runner);
void det_cpu_runner_destroy(struct det_env *env, struct det_runner **runner);
det_status det_cpu_runner_set_picture(struct det_env *env, struct det_runner *runner, int32_t index,
                                      const det_image_view *view, const struct det_frame *frame);
det_status det_cpu_runner_set_images(struct det_env *env, struct det_runner *runner,
                                     const float *images, int32_t height, int32_t width,
                                     const float (*windows)[4]);
det_status det_cpu_runner_begin(struct det_env *env, struct det_runner *runner);
det_status det_cpu_runner_end(struct det_env *env, struct det_runner *runner);
det_status det_cpu_runner_detections(struct det_env *env, struct det_runner *runner, int32_t index,
                                     const struct det_detections **detections);
det_status det_cpu_runner_top_score(struct det_env *env, struct det_runner *runner, int32_t index,
                                    float *score, int32_t *class_index);
det_status det_cpu_runner_outputs(struct det_env *env, struct det_runner *runner,
                                  const float **logits, const float **encodings);
void det_cpu_runner_times(const struct det_runner *runner, uint64_t ns[3]);
size_t det_cpu_runner_bytes(const struct det_runner *runner);

/* The step's network, for whoever uses it while the step is not under way. */
struct det_net *det_cpu_step_net(struct det_step *step);

det_status det_cpu_measurer_create(struct det_env *env, struct det_device *device,
                                   const struct det_graph *graph, const float *params,
                                   int32_t batch, struct det_step *idle,
                                   struct det_measurer **measurer);
void det_cpu_measurer_destroy(struct det_env *env, struct det_measurer **measurer);
det_status det_cpu_measurer_run(struct det_env *env, struct det_measurer *measurer,
                                const float *images, int32_t height, int32_t width);
void det_cpu_measurer_statistics(const struct det_measurer *measurer, int32_t op,
                                 const float **mean, const float **variance);

#endif
