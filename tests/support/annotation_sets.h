/* annotation_sets.h: data sets that tests of convert/ make and read, and what was found in them. */
#ifndef DET_TESTS_SUPPORT_ANNOTATION_SETS_H
#define DET_TESTS_SUPPORT_ANNOTATION_SETS_H

#include "convert/readers.h"
#include "det/dataset.h"
#include "support/test.h"

/* Reads, finishes and resolves; a source that names no split is of "a". */
det_status test_load_set(struct det_env *env, det_reader read, const char *path,
                         struct det_annotations *set, struct det_findings *findings);
/* Seven pictures in records at `path`: two without boxes, one box difficult, one a crowd. */
void test_make_set(struct det_env *env, const char *path, struct det_annotations *set);

/* Of a public set: what is known of an image, and an object of it; they must be there. */
det_annotation_image_info test_image_info(det_context *context, det_annotation_set *set,
                                          size_t position);
det_annotation_object test_object_at(det_context *context, det_annotation_set *set, size_t position,
                                     size_t index);

/* FOLDER/NAME, or FOLDER. */
void test_path_in(char *path, size_t size, const char *folder, const char *name);
void test_write_bytes(const char *path, const void *data, size_t bytes);
void test_write_text(const char *folder, const char *name, const char *text);

/* The last message of each rule: a det_findings' user and report. */
struct test_findings {
    char text[DET_RULE_COUNT][DET_ERROR_BYTES];
};
void test_note_finding(void *findings, enum det_rule rule, const char *message);

#endif
