/* cuda_libraries.h: cublasLt and cuDNN are loaded when a GPU is opened, not when the program starts: they map some hundred MB,
 * and a program that was built with CUDA must run on a machine that has none of it. The CUDA runtime is linked in; it loads
 * the driver the same way. */
#ifndef DET_BACKEND_CUDA_LIBRARIES_H
#define DET_BACKEND_CUDA_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>

/* Loads both once for the process, from any thread. False: the cause is in `why`. Until it was true, the libraries' functions
 * answer that they are not initialised. */
bool det_cuda_libraries_load(char *why, size_t bytes);

#endif
