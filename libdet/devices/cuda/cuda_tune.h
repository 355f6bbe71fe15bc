/* cuda_tune.h: algorithms chosen by their times on the device. cublasLt's heuristic knows a product
 * by its sizes and names algorithms in the order of its guess; which is fastest on this GPU only a
 * run tells. When a step or a runner is made, in the memory that it has taken and before anything
 * is recorded, each product's candidates are run a few times and the fastest is kept.
 *
 *  - Before each run the L2 cache holds the same: zeros written to the arena's beginning, twice its
 *    size.
 *  - One run of each is not counted (code is loaded with it); of three the best counts; who is far
 *    behind after the first is left.
 *  - Noise does not decide: an earlier candidate stays unless a later one is faster by
 *    DET_CUDA_TUNE_MARGIN.
 *  - An algorithm that cannot be run is passed over.
 *  - Equal problems are timed once for a device: its table serves all its steps and runners, and
 *    measurers, which time nothing.
 *  - It takes DET_CUDA_TUNE_NS for a network at most, and leaves half of DET_CUDA_MARGIN of the
 *    device's memory: an algorithm's code is loaded when it is tried and stays. The products that
 *    are left then keep cublasLt's first choice.
 *
 * Nothing is timed with `deterministic` (another algorithm gives other bits, and who wins may
 * differ from one start to the next) and with `no_tuning`. */
#ifndef DET_DEVICES_CUDA_TUNE_H
#define DET_DEVICES_CUDA_TUNE_H

#include "devices/cuda/cuda_matmul.h"
#include "devices/cuda/cuda_weight_gradient.h"

#define DET_CUDA_TUNE_NS     2000000000U
#define DET_CUDA_TUNE_RUNS   3
#define DET_CUDA_TUNE_MARGIN 0.97f /* of the earlier one's time */
#define DET_CUDA_TUNE_LEFT   1.5f  /* times the best: not run again */

/* A problem's, of the device's table. */
struct det_cuda_choice {
    struct det_cuda_problem problem;
    struct det_cuda_algorithm algorithm;
    bool way_timed;
    enum det_cuda_weight_way way; /* of a weights' gradient whose ways were timed */
};

struct det_cuda_tuner {
    struct det_device *device;
    cudaEvent_t begin, end;
    void *flush; /* the caller's memory, whose contents are free */
    size_t flush_bytes;
    uint64_t deadline_ns;
    int32_t timed, others,
        left; /* products; that take another than the first; not timed for lack of time or memory */
};

/* Whether this device's products are to be timed. */
static inline bool det_cuda_tunes(const struct det_device *device)
{
    return !device->settings.deterministic && !device->settings.no_tuning;
}

/* NULL: nobody has timed it. The pointer holds until the next is added. */
struct det_cuda_choice *det_cuda_choice_find(const struct det_device *device,
                                             const struct det_cuda_problem *problem);
det_status det_cuda_choice_add(struct det_env *env, struct det_device *device,
                               const struct det_cuda_choice *choice);

/* `memory` of `bytes` may be overwritten. Closing is allowed after a failure. */
det_status det_cuda_tuner_open(struct det_env *env, struct det_device *device, void *memory,
                               size_t bytes, struct det_cuda_tuner *tuner);
void det_cuda_tuner_close(struct det_cuda_tuner *tuner);
/* Whether there is time, and memory, for another product. */
det_status det_cuda_tuner_goes_on(struct det_env *env, const struct det_cuda_tuner *tuner,
                                  bool *goes_on);
/* Something enqueued on the device's stream. UNSUPPORTED: this cannot be run. */
typedef det_status (*det_cuda_timed_work)(struct det_env *env, const void *argument);
/* The host waits. `best` is the time of the best so far, INFINITY when it is the first; so is
 * *microseconds when it cannot be run. */
det_status det_cuda_tuner_time(struct det_env *env, const struct det_cuda_tuner *tuner,
                               det_cuda_timed_work work, const void *argument, float best,
                               float *microseconds);

/* A number that a log line's list of times goes on with; infinite: "-". */
void det_cuda_tuner_list(char *text, size_t bytes, float microseconds);

#endif
