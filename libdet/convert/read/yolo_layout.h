/* yolo_layout.h: where a YOLO data set keeps its images and class names:
 *
 *   data.yaml (Ultralytics)       obj.data (Darknet, CVAT)      classes.txt, obj.names or
 *     path: ..                      classes = 2                   _darknet.labels alone
 *     train: images/train           train = data/train.txt        a line for each class; images in
 *     val: [images/val, more]       valid = data/valid.txt        images/train, train/images,
 *     names: {0: cat, 1: dog}       names = data/obj.names        train, ..., images/, else in
 *     kpt_shape: [17, 3]                                          the folder itself
 *
 * `train` may be a folder or a text file of image paths. What is not where a path says is looked
 * for nearby (yolo_paths.h), with a finding unless it is what an exporter always writes. */
#ifndef DET_CONVERT_READ_YOLO_LAYOUT_H
#define DET_CONVERT_READ_YOLO_LAYOUT_H

#include "convert/read/yolo_paths.h"
#include "convert/readers.h"

struct det_yolo_part {
    char *split; /* "train", "val", "test", "data" */
    char *path;  /* folder of images, or list of image paths */
    char *entry; /* what the file says; "" where it is the reader's guess */
};

struct det_yolo_layout {
    char *source;    /* the file that was read */
    char *root;      /* its folder */
    char *data_root; /* what `path:` says, NULL: nothing, or what is not there */
    struct det_path_list names;
    size_t keypoints; /* numbers behind each box, of kpt_shape */
    struct det_yolo_part *parts;
    size_t part_count, part_capacity;
};

/* settings->path: the file, or the folder that holds it. */
det_status det_yolo_layout_read(struct det_env *env, const struct det_read_settings *settings,
                                struct det_yolo_layout *layout);
void det_yolo_layout_free(struct det_env *env, struct det_yolo_layout *layout);

/* The file with the class names in a folder, the first that is there: data.yaml, ...,
 * _darknet.labels; *path: NULL when none is. The caller frees. */
det_status det_yolo_find_source(struct det_env *env, const struct det_files *files,
                                const char *folder, char **path);

/* For the paths in the layout's files. */
struct det_yolo_places det_yolo_places_of(const struct det_yolo_layout *layout);

#endif
