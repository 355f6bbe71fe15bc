/* det/checkpoints.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_CHECKPOINTS_H
#define DET_CHECKPOINTS_H
#include "det/context.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_checkpoint_info {
    char path[4096];
    int64_t step;
    int is_tensorflow;
} det_checkpoint_info;
DET_NODISCARD DET_API det_status det_checkpoint_find(det_context *context, const char *path,
                                                     det_checkpoint_info *info);
DET_NODISCARD DET_API det_status det_checkpoint_list(det_context *context, const char *folder,
                                                     det_checkpoint_info **list, size_t *count);
DET_API void det_checkpoint_list_destroy(det_context *context, det_checkpoint_info **list);
#ifdef __cplusplus
}
#endif
#endif
