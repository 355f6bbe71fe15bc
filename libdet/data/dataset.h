/* dataset.h: the examples of a list of TFRecord files, or the samples of a program's source
 * (data/sample_source.h), checked once when opened.
 *
 * Opening parses every example, or asks for every sample: it finds each object's class, checks
 * each box, looks at the first bytes of each image (or finds its file; a source need not give it
 * yet) and counts. Kept in memory are the objects, the images' ids and where in its record each
 * image's bytes are, not the images. What the TF Object Detection API lets pass silently is an
 * error here that names file, record, object and values, unless the settings say otherwise.
 */
#ifndef DET_DATA_DATASET_H
#define DET_DATA_DATASET_H

#include "data/ground_truth.h"
#include "data/image.h"
#include "det/sample_source.h"
#include "formats/label_map.h"
#include "formats/tf_example.h"
#include "formats/tfrecord.h"
#include "support/env.h"

/* What to do with a box that has a non-finite coordinate, is reversed (min > max) or reaches more
 * than .01 outside the image. In every case values up to .01 outside are clipped, and boxes without
 * area (as they are, or after clipping) are dropped; both are counted. */
enum det_box_policy {
    DET_BOX_FAIL, /* error */
    DET_BOX_CLIP, /* clip what reaches outside; non-finite and reversed boxes are dropped */
    DET_BOX_DROP, /* drop */
};

struct det_dataset_settings {
    const char *role;            /* "train": begins the log line; NULL = "data" */
    const char *const *patterns; /* paths, globs, shard patterns */
    size_t pattern_count;
    const det_sample_source *source;    /* in their place, copied; NULL: record files */
    const struct det_label_map *labels; /* which text means which class; NULL = by number only */
    int32_t class_count;                /* K: with labels theirs */
    const char *const *image_dirs; /* searched for image/filename when image/encoded is empty */
    size_t image_dir_count;
    enum det_box_policy box_policy;
    bool strict; /* an object of a class that is not known is an error. Else it is left out as the
                    API does (utils/ops.py filter_unrecognized_classes), and one warning counts them
                    by text, with the class that may be meant */
    bool images_only; /* objects are not looked at, no image has any */
};

struct det_dataset_counts {
    size_t files, images, boxes; /* boxes that are used */
    size_t images_without_boxes;
    size_t images_from_files; /* image/encoded was empty */
    size_t clipped;           /* boxes of which a coordinate was clipped to the image */
    size_t dropped;           /* boxes not used, for one of these reasons: */
    size_t non_finite, reversed, zero_size, outside,
        unknown_class; /* `outside` also counts clipped ones */
};

struct det_dataset_entry {
    size_t encoded_offset, encoded_bytes; /* in the record; 0 bytes: the image is in `path` */
    char *path;
    char *id;                    /* image/source_id, else image/filename, NULL: neither */
    int32_t height_px, width_px; /* as the record says, 0 = it does not */
    int32_t first_object, object_count;
    uint32_t objects_crc; /* of a source's objects, as they were given */
};

struct det_dataset {
    struct det_record_set records;     /* none where there is a source */
    det_sample_source source;          /* its count is 0 where there are records */
    struct det_dataset_entry *entries; /* [count] */
    size_t count;
    size_t entry_capacity;
    /* of all entries, one after the other; area_px 0 = not in the record */
    struct det_ground_truth objects;
    struct det_dataset_counts counts;
    int32_t class_count;
    size_t *boxes_of_class; /* [class_count] */
};

/* An object's class is its text's, as the label map has it; an object without a text has its
 * number, 1..K, whether the map has an item for it or not. On failure the dataset is empty. Logs
 * "train: 160 images, 171 boxes, 1 files" and a warning with the counts if anything was clipped or
 * dropped. No image at all is an error. */
det_status det_dataset_open(struct det_env *env, const struct det_dataset_settings *settings,
                            struct det_dataset *dataset);
void det_dataset_close(struct det_env *env, struct det_dataset *dataset);

/* Decodes the image of a record and copies its objects (area_px is then always known). May be
 * called by several threads with an env each.
 * Messages begin with the record's name. */
det_status det_dataset_load(struct det_env *env, const struct det_dataset *dataset, size_t index,
                            struct det_image *image, struct det_ground_truth *truth);
/* The same with a reduced decoding (data/image.h), the record read into `record`. Nothing is
 * allocated when all three have room. A sample of a source that is another than when the data set
 * was opened is CORRUPT. */
det_status det_dataset_load_reduced(struct det_env *env, const struct det_dataset *dataset,
                                    size_t index, struct det_image_least least,
                                    struct det_record *record, struct det_image *image,
                                    struct det_ground_truth *truth);
/* The objects alone; area_px then comes from the size in the record, 0 if it says none. */
det_status det_dataset_load_truth(struct det_env *env, const struct det_dataset *dataset,
                                  size_t index, struct det_ground_truth *truth);

/* "x.tfrecord: record 12 (a.jpg)" or "sample 12 (a.jpg)" for messages, with the image's id if it
 * has one. Returns
 * `buffer`. */
const char *det_dataset_name(const struct det_dataset *dataset, size_t index, char buffer[512]);
/* The image's id as text, cut to fit: source_id, else filename, else the index. Returns
 * `buffer`. */
const char *det_dataset_id(const struct det_dataset *dataset, size_t index, char buffer[256]);

#endif
