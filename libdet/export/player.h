/* player.h: what an exported file finds in pictures, as libdet's reader of its format reads it and
 * plain operations run it (program.h): for an evaluation of the file itself. Box encodings and
 * logits are the program's, the suppression is the one that detection has (model/postprocess.h);
 * that the file's own gives the same is the proof's affair. */
#ifndef DET_EXPORT_PLAYER_H
#define DET_EXPORT_PLAYER_H

#include "base/pool.h"
#include "data/image.h"
#include "export/export.h"

struct det_export_player;

/* Whether the files are a network that a reader runs; libdet's own and checkpoints are not. */
bool det_export_is_program(const det_export *exported);

/* All is borrowed. MISMATCH: the files are of another network than the model. */
det_status det_export_player_create(struct det_env *env, struct det_pool *pool,
                                    const det_export *exported, const det_model *model,
                                    struct det_export_player **player);
void det_export_player_destroy(struct det_env *env, struct det_export_player **player);

/* Boxes normalised to the image, by falling score; until the next call. */
det_status det_export_player_run(struct det_env *env, struct det_export_player *player,
                                 const struct det_image *image,
                                 const struct det_detections **found);

#endif
