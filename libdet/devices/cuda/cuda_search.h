/* cuda_search.h: where NVIDIA's libraries are. Installations differ: by the distribution's packages
 * they are where the loader looks, by pip they lie in folders of Python's packages that nobody else
 * knows. Searched, until one is found:
 *
 *   1. the folders of the environment's DET_CUDA_LIBRARIES, with ':' between
 *   2. the loader's own search: LD_LIBRARY_PATH, ld.so.cache, /lib, /usr/lib
 *   3. pip's: nvidia/NAME/lib (nvidia/cu13/lib, nvidia/cublas/lib, nvidia/cudnn/lib) among the
 *      packages of the virtual environment that is active (VIRTUAL_ENV, CONDA_PREFIX), of the user,
 *      of the machine
 *   4. /usr/local/cuda/lib64
 */
#ifndef DET_DEVICES_CUDA_SEARCH_H
#define DET_DEVICES_CUDA_SEARCH_H

#include "support/env.h"

/* Opens a library by its file's name ("libcudnn.so.9") for as long as the process lives: they keep
 * threads and state of their own. DEVICE: what was searched, and why a file that was found could
 * not be loaded. */
det_status det_cuda_library_open(struct det_env *env, const char *name, void **library);

#endif
