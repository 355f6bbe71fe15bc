/* replay.h: a step that went wrong, as a file: a training checkpoint of the state before the step,
 * and the batch in it as three more tensors:
 *
 *   /.REPLAY/images   [N][H][W][3]  pixels of 0..255 as the network was given them
 *   /.REPLAY/boxes    [G][4]        ymin, xmin, ymax, xmax
 *   /.REPLAY/objects  [G][3]        image of the batch, class index, weight
 */
#ifndef DET_TRAIN_REPLAY_H
#define DET_TRAIN_REPLAY_H

#include "data/loader.h"
#include "train/checkpoint.h"

/* Parameters that are not finite are written as they are. */
det_status det_replay_write(struct det_env *env, const char *path,
                            const struct det_learner *learner, const char *const *class_names,
                            const struct det_checkpoint_state *state,
                            const struct det_batch *batch);

/* The batch; images and truths are freed with det_replay_free(). CORRUPT for a file without one. */
struct det_replay {
    int32_t count, height, width;
    float *images;
    struct det_ground_truth *truths; /* [count] */
};
det_status det_replay_read(struct det_env *env, const char *path, struct det_replay *replay);
void det_replay_free(struct det_env *env, struct det_replay *replay);

#endif
