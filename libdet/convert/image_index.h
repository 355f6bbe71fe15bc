/* image_index.h: the image files in folders and in the folders below, to be found by the names that
 * annotations give. */
#ifndef DET_CONVERT_IMAGE_INDEX_H
#define DET_CONVERT_IMAGE_INDEX_H

#include "convert/files.h"

struct det_image_index {
    /* after det_image_index_sort(): by name without extension, capitals folded */
    struct det_path_list paths;
};

/* Adds what is in a folder, 16 levels deep. */
det_status det_image_index_add(struct det_env *env, struct det_image_index *index,
                               const struct det_files *files, const char *directory);
/* Once, after the last folder. */
void det_image_index_sort(struct det_image_index *index);
void det_image_index_free(struct det_env *env, struct det_image_index *index);

struct det_image_match {
    const char *path;  /* NULL: none */
    const char *other; /* not NULL: as good as `path`, so it cannot be said which is meant */
};

/* The file that is called as `name`. Of several the one that lies in more of the folders that
 * `name` has. `exact`: only files of just this name; else also those with the extension of another
 * kind of image or other capitals, or with an extension where `name` has none. */
struct det_image_match det_image_index_find(const struct det_image_index *index, const char *name,
                                            bool exact);

#endif
