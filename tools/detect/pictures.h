/* pictures.h: annotated image files in a folder. */
#ifndef DET_TOOLS_DETECT_PICTURES_H
#define DET_TOOLS_DETECT_PICTURES_H

#include "det/context.h"
#include "support/image.h"
#include "support/io.h"

/* Makes the folder. One that holds an input is refused: a picture must never replace what it was
 * made from. */
det_status pictures_open(struct det_env *env, const char *folder,
                         const struct det_path_list *inputs);
/* FOLDER/NAME, `name` as names.h has it; what is no JPEG by its name becomes a PNG. `context`: of
 * the thread that calls. */
det_status pictures_write(struct det_env *env, det_context *context, const char *folder,
                          const char *name, const struct det_image *image);

#endif
