/* records.h: record files made by the tests of dataset and loader. */
#ifndef DET_TESTS_SUPPORT_RECORDS_H
#define DET_TESTS_SUPPORT_RECORDS_H

#include "formats/label_map.h"
#include "formats/tf_example.h"
#include "support/io.h"

/* The label map of test_write_records(): 1 cat, 2 dog. Made once, never freed. */
const struct det_label_map *test_labels(void);

/* A picture of its own for each seed, as JPEG (malloc). */
unsigned char *test_make_jpeg(int width, int height, unsigned seed, size_t *bytes);

struct det_bytes test_text(const char *text);

/* Serialises the example and appends it; asserts. */
void test_write_example(struct det_env *env, struct det_writer *writer,
                        const struct det_example *example);

/* `images` records: picture i is (40 + i % 7) x (30 + i % 5) pixels and has i % 3 boxes of the
 * classes "cat" and "dog" in turn; filename and source_id "i.jpg". */
void test_write_records(struct det_env *env, const char *path, int images);

#endif
