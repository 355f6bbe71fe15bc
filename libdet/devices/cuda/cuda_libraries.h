/* cuda_libraries.h: cublasLt and cuDNN are loaded when they are needed, not when the program
 * starts: they map some hundred MB, and a program that was built with CUDA must run on a machine
 * that has none of it. cublasLt is needed by every network; cuDNN only by one with dense
 * convolutions of more than a pixel behind its first layer, and a machine without it runs all
 * others. The CUDA runtime is linked in; it loads the driver the same way. */
#ifndef DET_DEVICES_CUDA_LIBRARIES_H
#define DET_DEVICES_CUDA_LIBRARIES_H

#include "support/env.h"

/* Each loads its library once for the process, from any thread; where it is looked for is in
 * cuda_search.h. DEVICE with what was searched; the library's functions then answer that they are
 * not initialised, and the next call looks again. */
det_status det_cuda_cublas_load(struct det_env *env);
det_status det_cuda_cudnn_load(struct det_env *env);

#endif
