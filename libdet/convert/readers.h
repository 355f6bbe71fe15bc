/* readers.h: data sets of other formats into struct det_annotations. A reader adds to the set; what is
 * wrong with a part of the source is a finding and the rest is read on; only what leaves nothing to
 * go on with (memory, a folder that is not there) is a failure.
 *
 *   tfrecord  a file, folder, glob or shard pattern of tf.Examples; the split is the file's name
 *   coco      COCO's annotations JSON (formats/coco_json.h); the split is the file's name without
 *             "instances_"
 *   yolo      a folder with data.yaml (Ultralytics), obj.data (Darknet, CVAT) or classes.txt / obj.names;
 *             labels/NAME.txt for images/NAME.jpg, or beside the image; lines "class cx cy w h"
 *             normalised, or "class x1 y1 x2 y2 ..." outlines, which become their bounding boxes
 *   csv       a header line, then a line for each object; see read_csv.c
 *
 * VOC and CVAT are XML: their readers are part of det-data (tools/data/), which takes expat for it.
 */
#ifndef DET_CONVERT_READERS_H
#define DET_CONVERT_READERS_H

#include "convert/annotations.h"
#include "convert/findings.h"

struct det_read_settings {
    const char *path;
    const char *split;             /* of all images of the path; NULL: as the format says */
    const char *const *image_dirs; /* searched first for image files */
    size_t image_dir_count;
    struct det_findings *findings;
};

typedef det_status (*det_reader)(struct det_env *env, const struct det_read_settings *settings,
                                 struct det_annotations *set);

det_status det_read_tfrecord(struct det_env *env, const struct det_read_settings *settings,
                             struct det_annotations *set);
det_status det_read_coco(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);
det_status det_read_yolo(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);
det_status det_read_csv(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set);

/* --- for readers --- */

/* Finds the file of an image by its name: in the given folders, then in `base` (the folder of the
 * source), its images/, JPEGImages/ and `split` folders and its parent's; with the folders in the
 * name, then without. A name never leads out of these. An image without a file is broken, with a
 * finding. */
det_status det_find_image(struct det_env *env, const struct det_read_settings *settings,
                          const char *base, const char *split, struct det_labelled_image *image);

/* The class of an object by name; a name that the label map lacks is a finding. `place` begins it. */
det_status det_find_class(struct det_env *env, const struct det_read_settings *settings,
                          struct det_annotations *set, const char *place, const char *name,
                          int32_t *class_index);

/* Sets the split of an image: the settings', else `name`. */
det_status det_set_split(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set, size_t image, const char *name);

/* "dir/instances_train2017.json" -> "train2017"; "a/train.tfrecord-00000-of-00010" -> "train". The
 * caller frees. */
det_status det_split_of_path(struct det_env *env, const char *path, char **split);

/* A decimal number with blanks around it; "nan" and "inf" are numbers, which the checks then find. Not
 * the locale's. */
bool det_parse_coordinate(const char *text, double *value);

/* Text cut into lines in place; *line is NULL-terminated and without '\r'. False at the end. */
bool det_next_line(char **text, char **line);
/* `text` without blanks at both ends, in place. */
char *det_trimmed(char *text);
/* A whole file as text with a NUL behind it; a NUL inside is an error. The caller frees. */
det_status det_read_text(struct det_env *env, const char *path, char **text);

#endif
