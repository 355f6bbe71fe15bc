/* cuda_runner.h: inference on the device: struct det_runner of the backend's interface.
 * Preprocessing, network and post-processing are one recorded graph; the host gets finished
 * detections. */
#ifndef DET_DEVICES_CUDA_RUNNER_H
#define DET_DEVICES_CUDA_RUNNER_H

#include "devices/cuda/cuda_graph.h"
#include "devices/cuda/cuda_net.h"
#include "devices/cuda/cuda_pictures.h"
#include "model/postprocess.h"
#include "postprocess.h"

/* What a run takes its input from. */
enum det_cuda_source { DET_CUDA_PICTURES, DET_CUDA_IMAGES, DET_CUDA_SOURCES };

enum { DET_CUDA_INPUTS = 2 };

/* The input of a run, and the recordings of runs on it, since a recording knows addresses. A runner
 * has two: one being computed on, one being filled. The second is filled only while a run is under
 * way: who never does that has one recording. */
struct det_cuda_input {
    enum det_cuda_source source; /* set last */
    struct det_cuda_graph graphs[DET_CUDA_SOURCES];
    struct det_cuda_pictures pictures;
    int32_t image_height, image_width; /* of the images set last */
    cudaEvent_t uploaded;
    bool fresh;            /* uploads enqueued since the last run */
    bool images_under_way; /* their upload may not have ended */

    size_t images_at, table_at, windows_at; /* in the runner's device memory */
    float *images;                          /* `evaluate` only, like `staged_images` */
    struct detk_image *table;               /* [batch] */
    float (*windows)[4];                    /* [batch] */

    float *staged_images; /* pinned memory */
    float (*staged_windows)[4];
};

struct det_runner {
    struct det_device *device;
    /* the graph is the caller's; params and anchors are looked at once */
    struct det_runner_settings settings;
    struct det_model_spec spec; /* copies of what the settings point to */
    struct det_postprocess_settings postprocess;
    const float *class_thresholds; /* the caller's, on the host; NULL: it has none */
    struct det_cuda_net net;
    struct det_cuda_block memory, pinned;
    struct det_cuda_input inputs[DET_CUDA_INPUTS];
    /* was or is filled next; the other one while a run is under way */
    struct det_cuda_input *filled;
    struct det_cuda_input *computed; /* of the run that is or was last under way */
    bool running;
    uint64_t times[3];
    uint64_t input_ns; /* host time for the input since the last begin */
    uint64_t begun_ns; /* clock */

    /* Offsets in `memory`: detection arrays lie in one piece, which is copied to the same piece of
     * `pinned`. */
    struct det_cuda_layout layout;
    size_t params_at, anchors_at, thresholds_at, workspace_at;
    size_t found_at, found_bytes, count_at, boxes_at, class_at, score_at, anchor_at, finite_at;

    /* Device memory. */
    float *params;
    float (*anchors)[4];
    float *thresholds; /* [K], which `postprocess` points to; only where the caller has some */
    struct detk_detections found;
    void *workspace;

    /* Pinned memory. */
    uint8_t *result;                  /* the piece of detections */
    float *logits, *encodings;        /* `evaluate` or `outputs` only */
    float *staged_thresholds;         /* [K] of the run under way */
    struct det_detections detections; /* of the image asked for last */
};

/* Functions of struct det_backend. cuda_runner.c: life and memory. */
det_status det_cuda_runner_create(struct det_env *env, struct det_device *device,
                                  const struct det_runner_settings *settings,
                                  struct det_runner **runner);
void det_cuda_runner_destroy(struct det_env *env, struct det_runner **runner);
size_t det_cuda_runner_bytes(const struct det_runner *runner);
/* cuda_runner_run.c: running. Two pieces of a run, each enqueued, that are not the network. */
det_status det_cuda_runner_enqueue_input(struct det_env *env, const struct det_runner *runner);
det_status det_cuda_runner_enqueue_postprocess(struct det_env *env,
                                               const struct det_runner *runner);
det_status det_cuda_runner_set_picture(struct det_env *env, struct det_runner *runner,
                                       int32_t index, const det_image_view *view,
                                       const struct det_frame *frame);
det_status det_cuda_runner_set_images(struct det_env *env, struct det_runner *runner,
                                      const float *images, int32_t height, int32_t width,
                                      const float (*windows)[4]);
det_status det_cuda_runner_begin(struct det_env *env, struct det_runner *runner);
det_status det_cuda_runner_end(struct det_env *env, struct det_runner *runner);
det_status det_cuda_runner_detections(struct det_env *env, struct det_runner *runner, int32_t index,
                                      const struct det_detections **detections);
det_status det_cuda_runner_top_score(struct det_env *env, struct det_runner *runner, int32_t index,
                                     float *score, int32_t *class_index);
det_status det_cuda_runner_outputs(struct det_env *env, struct det_runner *runner,
                                   const float **logits, const float **encodings);
void det_cuda_runner_times(const struct det_runner *runner, uint64_t ns[3]);

#endif
