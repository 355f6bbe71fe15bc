/* det/sample_source.h: a program's own images and boxes, without record files: training, evaluation
 * and recalibration ask a function for each sample (det_trainer_settings.samples,
 * det_evaluation_settings.samples, det_recalibration_settings.samples). */
#ifndef DET_SAMPLE_SOURCE_H
#define DET_SAMPLE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "det/dataset.h"
#include "det/detector.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An image with its objects. The library's: all is 0 when `fill` gets it. What it points to is the
 * program's, and must stay as it is until `release`. */
typedef struct det_labelled_sample {
    /** how far the library knows the struct: fields behind that must not be set */
    size_t struct_size;
    /** 0: objects and size are asked for, the image need not be given (it is checked if it is) */
    int needs_image;
    /** the image as pixels of any format (of a view with a region that part) ... */
    det_image_view pixels;
    /** ... or as the bytes of a file of one of det_image_formats(), whose pixels are taken as they
     * are stored, like TensorFlow's: a rotation noted by a camera (EXIF) is not applied */
    const void *encoded;
    size_t encoded_bytes;
    /** of the image, where `pixels` does not say it; 0: not known. Boxes in pixels need it and,
     * with a resizer that keeps the aspect, what training says of its anchors */
    int32_t height_px, width_px;
    /** [object_count], elements `objects[0].struct_size` apart: class by name, else by id; boxes in
     * the frame of the pixels as they are stored. area_px2 0: that of the box. `truncated` is not
     * looked at */
    const det_annotation_object *objects;
    size_t object_count;
    /** for messages, copied; NULL: only its number is told */
    const char *id;
    /** when `fill` fails: why, for the message; NULL: nothing is known */
    const char *error;
    /** for `release`; not looked at */
    void *own;
} det_labelled_sample;

/**
 * A list of samples, each of which is the same whenever it is asked for: it must depend on nothing
 * but its index. Then order, augmentation and weights are those of record files with the same
 * content, to the bit, on any number of threads, and a training that is resumed goes on exactly.
 *
 * When the data is opened (by each evaluation anew), each sample is asked for once, from the
 * calling thread, without its image; classes and boxes are judged by the rules for records (what
 * cannot be is CORRUPT and names the sample; with strict classes MISMATCH) and kept. Images are
 * asked for again and again, from the threads of the loader, several at once, also while an
 * evaluation between two steps asks for its own. A sample whose objects or size are others than
 * when the data was opened is CORRUPT.
 */
typedef struct det_sample_source {
    size_t struct_size; /**< sizeof(det_sample_source) */
    size_t count;       /**< samples, at least 1 */
    void *user;         /**< for the functions; must outlive what it is given to */
    /** Fills in sample `index`, 0 .. count - 1; 0: done, anything else: it failed, which ends the
     * call that needed it with IO. Called from several threads at once; must not use the context
     * of the training or evaluation. */
    int (*fill)(void *user, size_t index, det_labelled_sample *sample);
    /** Called once for each sample that was filled in, from the same thread, when nothing of it is
     * needed any more; not for one that failed. May be NULL. */
    void (*release)(void *user, size_t index, det_labelled_sample *sample);
} det_sample_source;

#ifdef __cplusplus
}
#endif
#endif
