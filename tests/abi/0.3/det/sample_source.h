/* det/sample_source.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_SAMPLE_SOURCE_H
#define DET_SAMPLE_SOURCE_H
#include "det/dataset.h"
#include "det/detector.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_labelled_sample {
    size_t struct_size;
    int needs_image;
    det_image_view pixels;
    const void *encoded;
    size_t encoded_bytes;
    int32_t height_px, width_px;
    const det_annotation_object *objects;
    size_t object_count;
    const char *id;
    const char *error;
    void *own;
} det_labelled_sample;
typedef struct det_sample_source {
    size_t struct_size;
    size_t count;
    void *user;
    int (*fill)(void *user, size_t index, det_labelled_sample *sample);
    void (*release)(void *user, size_t index, det_labelled_sample *sample);
} det_sample_source;
#ifdef __cplusplus
}
#endif
#endif
