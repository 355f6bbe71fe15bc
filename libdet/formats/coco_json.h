/* coco_json.h: COCO's JSON files (cocodataset.org/#format-data, #format-results), read with
 * support/json.h.
 *
 *   ground truth: {"images": [{"id", ...}], "categories": [{"id", "name"}],
 *                  "annotations": [{"id", "image_id", "category_id", "bbox": [x, y, width, height],
 *                                   "area", "iscrowd", "ignore"}]}
 *   detections:   [{"image_id", "category_id", "bbox", "score"}]
 *
 * Other keys (info, licenses, ...) are skipped. As in Python, the last of two equal keys counts.
 * More lenient than pycocotools: `bbox` may be missing, null or [] where `segmentation` has an
 * outline, whose box is taken; `area` defaults to width * height, `iscrowd` and `ignore` to 0, `id`
 * of an annotation to its position + 1, also where they are null; `annotations` may be missing, an
 * empty list of detections is fine, and image ids may be strings: name i of the sorted names then
 * has id i + 1, so that the images keep the order in which Python would sort them. Stricter: an id
 * that appears twice is an error (pycocotools counts one of the two twice or drops one), and so are
 * NaN and Infinity.
 */
#ifndef DET_FORMATS_COCO_JSON_H
#define DET_FORMATS_COCO_JSON_H

#include "support/env.h"

struct det_coco_image {
    int64_t id;
    int32_t width_px, height_px; /* 0: not given */
    char *file_name;             /* NULL: not given */
};

struct det_coco_category {
    int64_t id;
    char *name;          /* "" if not given */
    char *supercategory; /* "" if not given; not written */
};

struct det_coco_annotation {
    int64_t id;
    int64_t image_id;
    int64_t category_id;
    double box_px[4]; /* x, y, width, height */
    double area_px2;
    bool is_crowd;
    bool ignore;
    bool is_group_of; /* not in the files */
    bool is_outline;  /* there was no `bbox`: it is the box around the outline; not written */
};

struct det_coco_detection {
    int64_t image_id;
    int64_t category_id;
    double box_px[4]; /* x, y, width, height */
    double score;
};

/* Image ids that were strings, sorted bytewise; count 0: ids are numbers. */
struct det_coco_names {
    char **names;
    size_t count;
};

struct det_coco_dataset {
    struct det_coco_image *images;
    size_t image_count;
    struct det_coco_category *categories;
    size_t category_count;
    struct det_coco_annotation *annotations;
    size_t annotation_count;
    struct det_coco_names names;
};

struct det_coco_detection_list {
    struct det_coco_detection *items;
    size_t count;
};

/* `path` is only the name in messages of the _parse functions. Outputs are empty after a failure.
 */
det_status det_coco_json_read_dataset(struct det_env *env, const char *path,
                                      struct det_coco_dataset *dataset);
det_status det_coco_json_parse_dataset(struct det_env *env, const char *path, const void *data,
                                       size_t bytes, struct det_coco_dataset *dataset);

/* Where the reader tells what is wrong with an entry and goes on without it. */
struct det_coco_faults {
    void *user;
    /* image_id: of an annotation whose image is known, else NULL. */
    void (*entry)(void *user, const int64_t *image_id, const char *message);
    void (*note)(void *user, const char *message); /* nothing is left out for it */
};

/* All entries that can be read. Besides, numbers may be strings, ids of annotations may be double,
 * NaN and Infinity are faults of the entries that use them; images or categories that share an id
 * are all left out, unless they have one name. */
det_status det_coco_json_parse_sound(struct det_env *env, const char *path, const void *data,
                                     size_t bytes, const struct det_coco_faults *faults,
                                     struct det_coco_dataset *dataset);
void det_coco_dataset_free(struct det_env *env, struct det_coco_dataset *dataset);
void det_coco_names_free(struct det_env *env, struct det_coco_names *names);

/* `names` (of the ground truth; NULL for none) turns string image ids into numbers; an unknown one
 * is an error. */
det_status det_coco_json_read_detections(struct det_env *env, const char *path,
                                         const struct det_coco_names *names,
                                         struct det_coco_detection_list *list);
det_status det_coco_json_parse_detections(struct det_env *env, const char *path, const void *data,
                                          size_t bytes, const struct det_coco_names *names,
                                          struct det_coco_detection_list *list);
void det_coco_detection_list_free(struct det_env *env, struct det_coco_detection_list *list);

/* Written as `names` says: strings if it has any, else numbers. Atomic as everything det_writer
 * writes. */
det_status det_coco_json_write_dataset(struct det_env *env, const char *path,
                                       const struct det_coco_dataset *dataset);
det_status det_coco_json_write_detections(struct det_env *env, const char *path,
                                          const struct det_coco_detection *items, size_t count,
                                          const struct det_coco_names *names);

#endif
