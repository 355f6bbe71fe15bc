/* pictures.h: annotated image files in a folder. */
#ifndef DET_TOOLS_DETECT_PICTURES_H
#define DET_TOOLS_DETECT_PICTURES_H

#include "base/id_map.h"
#include "base/io.h"
#include "data/image.h"

struct pictures {
    const char *folder;
    struct det_id_map taken; /* hashes of the names used in it */
};

/* Makes the folder. One that holds an input is refused: a picture must never replace what it was made from. */
det_status pictures_open(struct det_env *env, const char *folder,
                         const struct det_path_list *inputs, struct pictures *pictures);
/* FOLDER/name.jpg, or FOLDER/name_2.jpg when this run has used that name already; a name without an image extension
 * gets .png. */
det_status pictures_write(struct det_env *env, struct pictures *pictures, const char *source,
                          const struct det_image *image);
void pictures_free(struct det_env *env, struct pictures *pictures);

#endif
