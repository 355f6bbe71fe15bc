/* bundle_writer.h: writes TensorFlow V2 checkpoints, so that tests have some on a machine without
 * the shared folder. */
#ifndef DET_TESTS_SUPPORT_BUNDLE_WRITER_H
#define DET_TESTS_SUPPORT_BUNDLE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_bundle_tensor {
    const char *key;
    uint32_t dtype; /* enum det_tf_type */
    int dims;
    int64_t shape[8];
    const void *data; /* as it stands in the data file */
    size_t bytes;
    bool sliced; /* adds a slice to the entry */
};

struct test_bundle_options {
    bool snappy;
    int block_entries;   /* entries of an index block, 0 = 3 */
    int restart;         /* entries between restart points, 0 = 2 */
    uint32_t endianness; /* 1 = big (a lie) */
    bool no_header;
};

/* PREFIX.index and PREFIX.data-0000{0,1}-of-00002, the tensors put into them in turn. Sorts by key.
 * Asserts. */
void test_bundle_write(const char *prefix, const struct test_bundle_tensor *tensors, size_t count,
                       struct test_bundle_options options);

#endif
