/* sample_program.h: a program's own images and boxes (det/sample_source.h), with the content of
 * test_write_records(). */
#ifndef DET_TESTS_SUPPORT_SAMPLE_PROGRAM_H
#define DET_TESTS_SUPPORT_SAMPLE_PROGRAM_H

#include <stdatomic.h>

#include "det/sample_source.h"
#include "support/workspace.h"

enum { SAMPLE_IMAGES = 10, SAMPLE_OBJECTS = 2, FAULTY_SAMPLE = 4 }; /* image 4 has one box */

/* The content of test_write_records(), and what is wrong with it. */
struct sample_program {
    det_sample_source source;
    unsigned char *encoded[SAMPLE_IMAGES];
    size_t bytes[SAMPLE_IMAGES];
    /* of sample FAULTY_SAMPLE, NULL: nothing; of all calls or only of those that need the image */
    int (*change)(det_labelled_sample *sample, det_annotation_object *objects);
    bool only_loading;
    bool decoded; /* images as pixels, not encoded */
    bool lazy;    /* no image where none is needed */
    atomic_int filled, released;
};

void sample_program_open(struct sample_program *p);
/* Asserts that all that was filled in was released. */
void sample_program_close(struct sample_program *p);
int sample_program_width(size_t index);

/* A function for `change`. */
#define CHANGE(name, ...)                                                    \
    static int name(det_labelled_sample *sample, det_annotation_object *box) \
    {                                                                        \
        (void)sample;                                                        \
        (void)box;                                                           \
        __VA_ARGS__;                                                         \
        return 0;                                                            \
    }

/* No change: the function fails. */
int sample_program_fails(det_labelled_sample *sample, det_annotation_object *objects);

#endif
