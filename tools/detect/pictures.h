/* pictures.h: annotated image files, in a folder or by themselves. */
#ifndef DET_TOOLS_DETECT_PICTURES_H
#define DET_TOOLS_DETECT_PICTURES_H

#include "common/tool.h"
#include "det/context.h"
#include "support/image.h"
#include "support/io.h"

/* Makes the folder. One that holds an input is refused: a picture must never replace what it was
 * made from. */
det_status pictures_open(struct tool *tool, const char *folder, const struct det_path_list *inputs);
/* Whether a picture can be written under this name: .jpg, .jpeg, .png. */
bool pictures_can_write(const char *path);
/* A picture as one of those. `context`: of the thread that calls. */
det_status pictures_write_file(struct det_env *env, det_context *context, const char *path,
                               const struct det_image *image);
/* FOLDER/NAME, `name` as names.h has it; what is no JPEG by its name becomes a PNG. */
det_status pictures_write(struct det_env *env, det_context *context, const char *folder,
                          const char *name, const struct det_image *image);

#endif
