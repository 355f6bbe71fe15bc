/* tf_example.h: the tf.Example message with the keys of the TF Object Detection API
 * (research/object_detection/data_decoders/tf_example_decoder.py):
 * image/{encoded,format,filename,source_id,height,width}, image/object/bbox/{ymin,xmin,ymax,xmax},
 * image/object/class/{text,label}, image/object/{difficult,group_of,is_crowd,truncated,area,
 * weight}.
 */
#ifndef DET_FORMATS_TF_EXAMPLE_H
#define DET_FORMATS_TF_EXAMPLE_H

#include "support/env.h"

/* Bytes inside the record; data NULL when the feature is absent. */
struct det_bytes {
    const uint8_t *data;
    size_t bytes;
};

struct det_example {
    struct det_bytes encoded, format, filename, source_id;
    int64_t height, width; /* 0 when absent */
    size_t box_count;      /* the four coordinate lists must agree */
    float *ymin, *xmin, *ymax, *xmax;
    /* Per-object features; NULL when absent, else box_count long (another length is an error). */
    struct det_bytes *class_text;
    int64_t *class_label;
    int64_t *difficult, *group_of, *is_crowd, *truncated;
    float *area, *weight;
};

/* `name` (e.g. "x.tfrecord: record 3") starts each message. Byte fields point into `data`. Reuses
 * nothing: pair with det_example_free. */
det_status det_example_parse(struct det_env *env, const char *name, const uint8_t *data,
                             size_t bytes, struct det_example *example);
void det_example_free(struct det_env *env, struct det_example *example);

/* For messages: "x.tfrecord: record 3 (a.jpg)" of the record's name and the file that the example
 * names; the record's alone where it names none. */
void det_example_name(const struct det_example *example, const char *record, char name[512]);

/* Serialises; the caller frees *data with det_free. Absent features are left out. */
det_status det_example_serialize(struct det_env *env, const struct det_example *example,
                                 uint8_t **data, size_t *bytes);

#endif
