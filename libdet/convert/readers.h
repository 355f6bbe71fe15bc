/* readers.h: data sets of other formats into struct det_annotations. A reader adds to the set; what
 * is wrong with a part of the source is a finding and the rest is read on, entry by entry; only
 * what leaves nothing to go on with (memory, a folder that is not there) is a failure.
 *
 *   tfrecord  a file, glob or shard pattern of tf.Examples; the split is the file's name
 *   coco      COCO's annotations JSON (formats/coco_json.h); the split is the file's name without
 *             "instances_"
 *   csv       a header line, then a line for each object; see read_csv.c
 *   voc       a file, or a folder of files (Annotations/, or beside the images, also in folders
 *             below). Splits: ImageSets/Main/NAME.txt, else the folder's name
 *   cvat-xml  "CVAT for images 1.1" or "CVAT for video 1.1": annotations.xml. Splits: the images'
 *             subset. Polygons, masks, ellipses and turned boxes become their bounding boxes
 *   yolo      a folder with data.yaml (Ultralytics), obj.data (Darknet, CVAT) or a list of names,
 *             or that file (yolo_layout.h); labels/NAME.txt for images/NAME.jpg, or beside the
 *             image; lines "class cx cy w h" normalised, with keypoints where data.yaml has
 *             kpt_shape, or "class x1 y1 x2 y2 ...": outlines and turned boxes, which become their
 *             bounding boxes
 *
 * XML and YAML are read by libraries that are loaded when such a file comes (read/xml.h,
 * read/yaml.h). convert/read/ has the readers.
 */
#ifndef DET_CONVERT_READERS_H
#define DET_CONVERT_READERS_H

#include "convert/annotations.h"
#include "convert/findings.h"
#include "convert/image_index.h"

struct det_read_settings {
    const char *path;
    struct det_files *files;       /* what `path` is one of */
    const char *split;             /* of all images of the path; NULL: as the format says */
    const char *const *image_dirs; /* searched first for image files */
    size_t image_dir_count;
    const struct det_image_index *index; /* of image_dirs, with the folders below; NULL: none */
    const char *encoding; /* of text that does not say its own; NULL: UTF-8 (support/encoding.h) */
    struct det_findings *findings;
};

typedef det_status (*det_reader)(struct det_env *env, const struct det_read_settings *settings,
                                 struct det_annotations *set);

det_status det_read_tfrecord(struct det_env *env, const struct det_read_settings *settings,
                             struct det_annotations *set);
det_status det_read_coco(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);
det_status det_read_csv(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set);
det_status det_read_voc(struct det_env *env, const struct det_read_settings *settings,
                        struct det_annotations *set);
det_status det_read_cvat(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);
det_status det_read_yolo(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set);

/* Whether the first line of a table, which is cut up, has the columns that det_read_csv() needs. */
bool det_csv_holds_boxes(char *text);

/* --- for readers --- */

/* Finds the file of an image by its name: in the folders given, then below them (image_index.h),
 * then in `base` (the folder of the source), its images/, JPEGImages/ and `split` folders and its
 * parent's; with the folders in the name, then without. Where no file has just this name, one with
 * the extension of another kind of image is taken. A name never leads out of these. An image
 * without a file is broken, with a finding. */
det_status det_find_image(struct det_env *env, const struct det_read_settings *settings,
                          const char *base, const char *split, struct det_labelled_image *image);

/* The class of an object by name, DET_CLASS_NONE, or DET_CLASS_UNLISTED when the label map lacks
 * it; both are findings, which begin with `place`. */
det_status det_find_class(struct det_env *env, const struct det_read_settings *settings,
                          struct det_annotations *set, const char *place, const char *name,
                          int32_t *class_index);

/* The finding alone, for a class that was looked up before; none for a position. */
void det_tell_class(const struct det_read_settings *settings, const struct det_annotations *set,
                    const char *place, const char *name, int32_t class_index);

/* Sets the split of an image: the settings', else `name`. A name that is no safe file name
 * (support/safe_name.h), or one but for capitals, is changed, with a finding. */
det_status det_set_split(struct det_env *env, const struct det_read_settings *settings,
                         struct det_annotations *set, size_t image, const char *name);

/* What a file of many images that cannot be read comes to: a finding for what is wrong with its
 * content (PARSE, CORRUPT, MISMATCH, NON_FINITE), else the status. */
det_status det_source_fault(struct det_env *env, const struct det_read_settings *settings,
                            det_status status);

/* The area that a source gives an object; 0, which is none, and a finding where it is no number
 * that an area can be. */
double det_sound_area(const struct det_read_settings *settings, const char *place, double area_px2);

/* An entry of an image could not be read: the image has an object less than its source. */
void det_lose_object(struct det_annotations *set, size_t image);

/* "dir/instances_train2017.json" -> "train2017"; "a/train.tfrecord-00000-of-00010" -> "train";
 * "a/train/_annotations.coco.json" -> "train". The caller frees. */
det_status det_split_of_path(struct det_env *env, const char *path, char **split);

/* A decimal number with blanks around it; "nan" and "inf" are numbers, which the checks then find.
 * Not the locale's. */
bool det_parse_coordinate(const char *text, double *value);

/* Widens a box (ymin, xmin, ymax, xmax) by a corner of an outline; DET_NO_BOX is where that
 * begins. */
void det_box_include(double box[4], double y, double x);
#define DET_NO_BOX                               \
    {                                            \
        INFINITY, INFINITY, -INFINITY, -INFINITY \
    }

/* Text cut into lines in place; *line is NULL-terminated and without '\r'. False at the end. */
bool det_next_line(char **text, char **line);
/* `text` without blanks at both ends, in place. */
char *det_trimmed(char *text);
/* A whole file as UTF-8 text with a NUL behind it; a NUL inside is an error. The caller frees. */
det_status det_read_text(struct det_env *env, const struct det_read_settings *settings,
                         const char *path, char **text);

#endif
