/* cuda_launches.h: what a launch costs in a recording, however little it does: many additions of
 * small arrays, one after the other, and shared out among the streams that levels run on side by
 * side (devices/cuda/cuda_branches.h). A step is hundreds of launches. */
#ifndef DET_BENCH_CUDA_LAUNCHES_H
#define DET_BENCH_CUDA_LAUNCHES_H

#include "cuda_rows.h"

/* Of arrays of size x size values; a row of kind "launches" for each number of streams. */
det_status cuda_launches(struct cuda_rows *rows, long size);

#endif
