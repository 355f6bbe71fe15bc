/* cuda_runtime.h: stand-in: the C API, and in C++ the language's extensions. */
#ifndef DET_EMU_CUDA_RUNTIME_H
#define DET_EMU_CUDA_RUNTIME_H

#include "cuda_runtime_api.h"
#ifdef __cplusplus
#include "cuda_emu.h"
#endif

#endif
