/* finish.h: what a first training ends with: the model as a file, and what to do with it. */
#ifndef DET_TOOLS_TRAIN_FINISH_H
#define DET_TOOLS_TRAIN_FINISH_H

#include "common/tool.h"

/* Exports the best checkpoint of the folder, else the newest, as FOLDER/model.det, and says the
 * next command. */
det_status finish_export(struct tool *tool, const det_pipeline_config *config, const char *folder);

#endif
