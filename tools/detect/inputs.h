/* inputs.h: what det-detect's arguments name: image files and videos, one after the other. */
#ifndef DET_TOOLS_DETECT_INPUTS_H
#define DET_TOOLS_DETECT_INPUTS_H

#include "common/options.h"
#include "support/io.h"

struct inputs {
    struct det_path_list images;
    struct det_path_list videos;
};

/* By its extension, or because it is a camera or a URL. */
bool is_video_name(const char *path);

/* A file, a folder (its images and videos), a glob pattern, a camera, a URL or "-" (an image on
 * standard input). */
det_status inputs_add(struct det_env *env, struct inputs *inputs, const char *argument);
/* A text file with one such argument a line, "-": standard input. Empty lines are passed over. */
det_status inputs_add_list(struct det_env *env, struct inputs *inputs, const char *path);
void inputs_free(struct det_env *env, struct inputs *inputs);

#endif
