/* source.h: what det-export makes its files of: a checkpoint, libdet's or TensorFlow's, or a .det
 * file, which says itself what network it is of. */
#ifndef DET_TOOLS_EXPORT_SOURCE_H
#define DET_TOOLS_EXPORT_SOURCE_H

#include "common/tool.h"

/* What `path` means (det_checkpoint_find()); of a training's folder that keeps its best checkpoint
 * (det-train --eval_every) that one. */
det_status export_source_look(struct tool *tool, const char *path, det_checkpoint_info *found,
                              bool *is_best);
/* The same; that it is the best is told. */
det_status export_source_find(struct tool *tool, const char *path, det_checkpoint_info *found);

/* `config` may be NULL for a .det file. `resumable`: with what the optimizer keeps, if it is
 * there. */
det_status export_source_load(struct tool *tool, const det_pipeline_config *config,
                              const det_checkpoint_info *from, bool resumable, det_model **model);

#endif
