/* sample_source.h: samples of a program's function (det/sample_source.h), as data/dataset.h takes
 * them. `name` begins messages: "sample 3 (a.jpg)". Any number of threads, with an env each. */
#ifndef DET_DATA_SAMPLE_SOURCE_H
#define DET_DATA_SAMPLE_SOURCE_H

#include "data/image.h"
#include "det/sample_source.h"
#include "formats/tf_example.h"
#include "support/env.h"

/* A copy of the caller's. INVALID_ARGUMENT: no function, no samples. */
det_status det_source_take(struct det_env *env, const det_sample_source *given,
                           det_sample_source *source);

/* One call of `fill`, which a call of det_source_give_back() must follow when it succeeds. IO: the
 * function failed. */
det_status det_source_ask(struct det_env *env, const det_sample_source *source, const char *name,
                          size_t index, bool needs_image, det_labelled_sample *sample);
void det_source_give_back(const det_sample_source *source, size_t index,
                          det_labelled_sample *sample);

/* INVALID_ARGUMENT unless pointers, sizes and the image's view fit together; of encoded bytes the
 * first ones are looked at. */
det_status det_source_check(struct det_env *env, const char *name,
                            const det_labelled_sample *sample, bool needs_image);

/* What follows is of a sample that was checked. */

/* Of the image; 0: not known. */
struct det_source_size {
    int32_t height_px, width_px;
};
struct det_source_size det_source_size(const det_labelled_sample *sample);

/* Of all that is taken of its objects, bit for bit. */
det_status det_source_checksum(struct det_env *env, const char *name,
                               const det_labelled_sample *sample, uint32_t *crc);

/* Its objects as those of a record, boxes normalised; texts are the sample's own. To be freed with
 * det_example_free(). */
det_status det_source_example(struct det_env *env, const char *name,
                              const det_labelled_sample *sample, struct det_example *example);

/* Its image, copied or decoded as det_image_decode_reduced() does. */
det_status det_source_image(struct det_env *env, const char *name,
                            const det_labelled_sample *sample, struct det_image_least least,
                            struct det_image *image);

#endif
