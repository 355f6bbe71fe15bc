/* det/checkpoints.h: finds checkpoints in a folder, libdet's own and TensorFlow's. */
#ifndef DET_CHECKPOINTS_H
#define DET_CHECKPOINTS_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_checkpoint_info {
    char path[4096]; /**< of a .det file, or a TensorFlow prefix */
    int64_t step;    /**< of TensorFlow's what is saved in it, else the number in its name */
    int is_tensorflow;
} det_checkpoint_info;

/** The checkpoint that `path` means: a .det file or a TensorFlow prefix (PREFIX or PREFIX.index) is
 * itself; of a folder the one its `checkpoint` file names, else the one with the highest number;
 * where TensorFlow and libdet both trained (TensorFlow's `checkpoint` is left alone then, libdet's
 * is checkpoint.libdet) the one with more steps. NOT_FOUND says what was looked for. */
DET_NODISCARD DET_API det_status det_checkpoint_find(det_context *context, const char *path,
                                                     det_checkpoint_info *info);

/** All checkpoints of a folder (ckpt-N.det, ckpt-N.index) by rising step; of one step that is there
 * in both kinds, libdet's. A folder without any gives *count 0 and is no error. Release with
 * det_checkpoint_list_destroy(). */
DET_NODISCARD DET_API det_status det_checkpoint_list(det_context *context, const char *folder,
                                                     det_checkpoint_info **list, size_t *count);
/** Sets *list to NULL. NULL is allowed. */
DET_API void det_checkpoint_list_destroy(det_context *context, det_checkpoint_info **list);

#ifdef __cplusplus
}
#endif
#endif
