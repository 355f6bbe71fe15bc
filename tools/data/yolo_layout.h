/* yolo_layout.h: where a YOLO data set keeps its images and class names:
 *
 *   data.yaml (Ultralytics)       obj.data (Darknet, CVAT)        classes.txt or obj.names alone
 *     path: ..                      classes = 2                     a line for each class; images in
 *     train: images/train           train = data/train.txt          images/, else in the folder itself
 *     val: [images/val, more]       valid = data/valid.txt
 *     names: {0: cat, 1: dog}       names = data/obj.names
 *
 * Of YAML only what such files hold is read: "key: value", lists in brackets or on "- " lines, and
 * numbered names; comments. `train` may be a folder or a text file of image paths.
 */
#ifndef DET_CONVERT_YOLO_LAYOUT_H
#define DET_CONVERT_YOLO_LAYOUT_H

#include "base/io.h"

struct det_yolo_part {
    char *split; /* "train", "val", "test" */
    char *path;  /* folder, or list of image paths */
};

struct det_yolo_layout {
    char *source; /* the file that was read */
    char *root;   /* paths are relative to it */
    struct det_path_list names;
    struct det_yolo_part *parts;
    size_t part_count, part_capacity;
};

/* `path`: the file, or the folder that holds it. */
det_status det_yolo_layout_read(struct det_env *env, const char *path,
                                struct det_yolo_layout *layout);
void det_yolo_layout_free(struct det_env *env, struct det_yolo_layout *layout);

/* A path of the data set's files against its root; CVAT writes "data/" in front of paths that start at
 * the root. The caller frees. */
det_status det_yolo_resolve(struct det_env *env, const struct det_yolo_layout *layout,
                            const char *path, char **out);

#endif
