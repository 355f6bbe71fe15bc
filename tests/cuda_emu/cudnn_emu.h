/* cudnn_emu.h: what cudnn.cc and cudnn_norm.cc share. */
#ifndef DET_EMU_CUDNN_EMU_H
#define DET_EMU_CUDNN_EMU_H

#include "include/cudnn.h"
#include "values.h"

struct cudnnContext {
    cudaStream_t stream;
};
struct cudnnTensorStruct {
    bool set;
    cudnnDataType_t type;
    int n, c, h, w;
};

namespace det_emu
{

/* Reports and answers BAD_PARAM. */
cudnnStatus_t cudnn_refuse(const char *why);
bool cudnn_lives(const void *handle_or_descriptor);

static inline size_t cudnn_bytes(size_t count, cudnnDataType_t type)
{
    return count * (type == CUDNN_DATA_BFLOAT16 ? 2 : 4);
}

} // namespace det_emu

#endif
