/* cudnn_rows.h: cuDNN's time for an operation beside ours. Of each pass all ways that cuDNN has are
 * tried, the fastest counts; one that takes much longer than ours is run once. cuDNN translates
 * some kernels when it first runs them, so looking at an operation's ways ends after a while. */
#ifndef DET_BENCH_CUDNN_ROWS_H
#define DET_BENCH_CUDNN_ROWS_H

#include "cuda_rows.h"
#include "devices/cuda/cuda_net.h"

/* Whether it is an operation that cuDNN could do: a convolution or a batch norm, not in 8 bits, of
 * which cuDNN gives no sums of 32. */
bool cudnn_rows_has(const struct det_cuda_net *net, int32_t index);

/* ours: microseconds. Operations that do the same work are measured once a job. */
det_status cudnn_rows_print(struct cuda_rows *rows, const struct det_cuda_net *net, int32_t index,
                            bool is_backward, bool training, const char *operation, double ours);

#endif
