/* evaluation_tiles.h: what a detector finds in an evaluation's images when it looks at them in
 * tiles (det_evaluation_settings.tiles). Each image is decoded once more, at its own size: the
 * loader's are as large as the network's input. */
#ifndef DET_EVAL_EVALUATION_TILES_H
#define DET_EVAL_EVALUATION_TILES_H

#include "data/dataset.h"
#include "model/postprocess.h"

struct det_evaluation_tiles;

/* All is borrowed. */
det_status det_evaluation_tiles_create(det_context *context, const det_model *model,
                                       const det_tile_settings *settings,
                                       struct det_evaluation_tiles **tiles);
void det_evaluation_tiles_destroy(struct det_env *env, struct det_evaluation_tiles **tiles);

/* Of record `index`, boxes normalised to the image, by falling score; until the next call. */
det_status det_evaluation_tiles_run(struct det_env *env, struct det_evaluation_tiles *tiles,
                                    const struct det_dataset *dataset, size_t index,
                                    const struct det_detections **found);

#endif
