/* annotations.h: a labelled data set in memory, whatever file format it came from: what the readers
 * (readers.h) fill, the checks, repairs and splits work on and the writers (writers.h) write.
 *
 * Life: a reader adds images and objects as the source has them, boxes in pixels or normalised,
 * good or bad; det_annotations_resolve() decodes every image, settles which frame the boxes are in
 * and normalises them; det_annotations_check() judges; det_annotations_repair() mends. Pixels are
 * never kept: an image is a file's path, or a part of a record.
 */
#ifndef DET_CONVERT_ANNOTATIONS_H
#define DET_CONVERT_ANNOTATIONS_H

#include "convert/files.h"
#include "convert/findings.h"
#include "data/image.h"
#include "formats/label_map.h"
#include "formats/tf_example.h"
#include "formats/tfrecord.h"
#include "support/safe_name.h"

/* Instead of an image's position: of an object that its image has lost. */
#define DET_NO_IMAGE UINT32_MAX

/* Instead of a class's position. */
enum {
    DET_CLASS_NONE = -1,     /* the source names none */
    DET_CLASS_UNLISTED = -2, /* it names one that the label map lacks */
};

/* What a box is measured in until its image is resolved. */
enum det_box_frame {
    DET_BOX_AS_IMAGE, /* as the image's boxes_px says */
    DET_BOX_PIXELS,
    DET_BOX_SHARES
};

struct det_labelled_object {
    uint32_t image;      /* position in images, or DET_NO_IMAGE */
    int32_t class_index; /* position in classes, or one of the above */
    int64_t label;       /* its number in a tf.Example, 0: none */
    double box[4];       /* ymin, xmin, ymax, xmax; once resolved normalised */
    enum det_box_frame frame;
    double area_px2; /* 0: not given */
    double weight;   /* 1 unless the source says otherwise */
    bool difficult, group_of, is_crowd, truncated;
    uint32_t number; /* from 0, among the objects of its image in the source */
    uint32_t line;   /* in the source's text, 0: none */
};

/* Bytes in a record of one of the set's record files; 0: none. */
struct det_record_part {
    struct det_record_place record;
    size_t offset, bytes;
};

struct det_labelled_image {
    char *where;     /* begins messages: "a.xml", "x.tfrecord: record 3" */
    char *name;      /* file name with its folders below the images' folder */
    char *source_id; /* NULL: the name */
    char *path;      /* file with the pixels, NULL: in `own` or `encoded`, or nowhere */
    uint8_t *own;    /* [own_bytes] a file in memory */
    size_t own_bytes;
    struct det_record_part encoded;
    int32_t width_px,
        height_px; /* as the source says, 0: it does not; once resolved, of the boxes' frame */
    int32_t split; /* position in splits */
    bool boxes_px;
    bool broken;           /* cannot be used: not found, does not decode */
    uint32_t lost_objects; /* entries of the source that could not be read */
    bool resolved;
    /* once it is */
    enum det_image_kind kind;
    int32_t stored_width_px, stored_height_px; /* what the source said */
    uint8_t orientation;                       /* EXIF, 1 when there is none */
    uint8_t turn;        /* the orientation that writing bakes into the pixels, 1: none */
    uint64_t pixel_hash; /* of the decoded pixels as they are in the file */
    size_t first_object, object_count;
};

/* A record file. */
struct det_record_source {
    struct det_source_bytes source; /* its bytes, where an archive holds it */
    struct det_record_set records;
};

struct det_annotations {
    const struct det_files *files; /* that paths lead into; lent */
    struct det_labelled_image *images;
    size_t image_count, image_capacity;
    struct det_labelled_object *objects; /* once finished or gathered: image by image */
    size_t object_count, object_capacity;
    size_t objects_lost;                  /* among them, of no image */
    struct det_path_list classes, splits; /* names; those of splits are safe file names */
    struct det_path_list split_sources;   /* what the sources call each split */
    struct det_name_set split_names;
    struct det_id_map split_map; /* split_sources -> position */
    struct det_id_map class_map;
    struct det_record_source *records; /* the files that `encoded` is in */
    size_t record_count, record_capacity;
    bool classes_are_fixed; /* by a label map: other names are not added */
    bool classes_as_met;    /* a source has no order of classes: finishing gives them one */
    size_t classes_ordered; /* that keep their places, the first ones */
};

/* Classes of a label map, in its order; names that it lacks are not added then. map NULL: classes
 * are added as they come. */
det_status det_annotations_init(struct det_env *env, struct det_annotations *set,
                                const struct det_label_map *map);
void det_annotations_free(struct det_env *env, struct det_annotations *set);

/* Adds an image with boxes in pixels or not; texts are copied, all but `where` may be NULL.
 * *index: its position. */
det_status det_annotations_add_image(struct det_env *env, struct det_annotations *set,
                                     const char *where, const char *name, bool boxes_px,
                                     size_t *index);
/* The last image, which has no objects, goes again. */
void det_annotations_take_back_image(struct det_env *env, struct det_annotations *set);
/* object->class_index and ->image are set by the caller; number is given here when it is
 * UINT32_MAX. */
det_status det_annotations_add_object(struct det_env *env, struct det_annotations *set,
                                      const struct det_labelled_object *object);
/* Puts these in the place of an image's objects, in a set that is finished, in time that does not
 * depend on the other images: what goes through all objects gathers them first. */
det_status det_annotations_set_objects(struct det_env *env, struct det_annotations *set,
                                       size_t image, const struct det_labelled_object *objects,
                                       size_t count);
/* Image by image again, without those that are lost. */
det_status det_annotations_gather(struct det_env *env, struct det_annotations *set);
bool det_annotations_box_is_px(const struct det_labelled_image *image,
                               const struct det_labelled_object *object);
/* Of a weight or an area: finite, and at least 0. */
bool det_number_is_sound(double number);
/* A blank object of the image: class -1, weight 1. */
struct det_labelled_object det_annotations_object(size_t image);

/* Position of a class, added when it is new and classes are not fixed, else DET_CLASS_UNLISTED. A
 * name that is not UTF-8 is made so (det_text_utf8()). */
det_status det_annotations_class(struct det_env *env, struct det_annotations *set, const char *name,
                                 int32_t *index);
/* Classes from position `count` on, which no object has, go again. */
void det_annotations_take_back_classes(struct det_env *env, struct det_annotations *set,
                                       size_t count);
/* Position of a split, added when it is new, under a safe file name that no other has
 * (support/safe_name.h). */
det_status det_annotations_split_index(struct det_env *env, struct det_annotations *set,
                                       const char *name, int32_t *index);
/* There are no splits any more; images keep numbers that mean nothing. */
void det_annotations_forget_splits(struct det_env *env, struct det_annotations *set);

/* Brings classes that came as they were met since the last call into an order that does not depend
 * on that of the files: by the numbers that tf.Examples gave them if these are those of their
 * places (1 .. K), else by name. From then on they keep their places. */
det_status det_annotations_order_classes(struct det_env *env, struct det_annotations *set);
/* That, and brings the objects into the order of images. Names and ids of images become UTF-8
 * (det_text_utf8()), with a finding. Called after the last reader; again, when something was added
 * since. */
det_status det_annotations_finish(struct det_env *env, struct det_annotations *set,
                                  struct det_findings *findings);

/* The id of an image: source_id, else name, else "". */
const char *det_image_id(const struct det_labelled_image *image);

/* The bytes of an image as they are in the source; close with det_source_bytes_close. */
det_status det_image_bytes_open(struct det_env *env, const struct det_annotations *set,
                                const struct det_labelled_image *image,
                                struct det_source_bytes *source);

#endif
