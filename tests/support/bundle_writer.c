#include "support/bundle_writer.h"

#include <snappy-c.h>

#include "base/crc32c.h"
#include "formats/protowire.h"
#include "support/io.h"
#include "support/test.h"

enum { SHARDS = 2, MOST_TENSORS = 4096 };

struct writer {
    struct det_env env;
    struct test_bundle_options options;
    struct det_text file; /* the index file */
    struct det_text index;
    struct det_text block;
    struct det_text restarts;
    uint32_t restart_count;
    int entries;
    char last_key[512];
};

static void append(struct writer *w, struct det_text *text, const void *data, size_t bytes)
{
    assert_ok(&w->env, det_text_append(&w->env, text, data, bytes));
}

static void append_varint(struct writer *w, struct det_text *text, uint64_t value)
{
    assert_ok(&w->env, det_wire_append_varint(&w->env, text, value));
}

/* Little endian, as the machines that run the tests are. */
static void append_u32(struct writer *w, struct det_text *text, uint32_t value)
{
    append(w, text, &value, 4);
}

/* Ends `contents` with restart points, writes it as a block and appends its handle to `handle`. */
static void write_block(struct writer *w, struct det_text *contents,
                        const struct det_text *restarts, uint32_t restart_count,
                        struct det_text *handle)
{
    append(w, contents, restarts->data != NULL ? restarts->data : "", restarts->length);
    append_u32(w, contents, restart_count);
    const size_t start = w->file.length;
    char compression = 0;
    if (w->options.snappy) {
        size_t bytes = snappy_max_compressed_length(contents->length);
        char *packed = malloc(bytes);
        assert_non_null(packed);
        assert_int_equal(snappy_compress(contents->data, contents->length, packed, &bytes),
                         SNAPPY_OK);
        append(w, &w->file, packed, bytes);
        free(packed);
        compression = 1;
    } else {
        append(w, &w->file, contents->data, contents->length);
    }
    const size_t bytes = w->file.length - start;
    append(w, &w->file, &compression, 1);
    append_u32(w, &w->file, det_crc32c_mask(det_crc32c(0, w->file.data + start, bytes + 1)));
    append_varint(w, handle, start);
    append_varint(w, handle, bytes);
    contents->length = 0;
}

/* A block's worth of entries is over: its last key and its handle go to the index. */
static void flush(struct writer *w)
{
    if (w->entries == 0)
        return;
    struct det_text handle = {0};
    write_block(w, &w->block, &w->restarts, w->restart_count, &handle);
    append_varint(w, &w->index, 0);
    append_varint(w, &w->index, strlen(w->last_key));
    append_varint(w, &w->index, handle.length);
    append(w, &w->index, w->last_key, strlen(w->last_key));
    append(w, &w->index, handle.data, handle.length);
    det_text_free(&w->env, &handle);
    w->restarts.length = 0;
    w->restart_count = 0;
    w->entries = 0;
}

static void add_entry(struct writer *w, const char *key, const struct det_text *value)
{
    const int restart = w->options.restart > 0 ? w->options.restart : 2;
    size_t shared = 0;
    if (w->entries % restart == 0) {
        append_u32(w, &w->restarts, (uint32_t)w->block.length);
        w->restart_count++;
    } else {
        while (key[shared] != '\0' && key[shared] == w->last_key[shared])
            shared++;
    }
    append_varint(w, &w->block, shared);
    append_varint(w, &w->block, strlen(key) - shared);
    append_varint(w, &w->block, value->length);
    append(w, &w->block, key + shared, strlen(key) - shared);
    append(w, &w->block, value->data, value->length);
    snprintf(w->last_key, sizeof w->last_key, "%s", key);
    if (++w->entries == (w->options.block_entries > 0 ? w->options.block_entries : 3))
        flush(w);
}

static void add_tensor(struct writer *w, const struct test_bundle_tensor *tensor, uint32_t shard,
                       size_t offset)
{
    struct det_text value = {0};
    struct det_env *env = &w->env;
    size_t shape = 0, dim = 0;
    assert_ok(env, det_wire_put_varint(env, &value, 1, tensor->dtype));
    assert_ok(env, det_wire_begin(env, &value, 2, &shape));
    for (int i = 0; i < tensor->dims; i++) {
        assert_ok(env, det_wire_begin(env, &value, 2, &dim));
        assert_ok(env, det_wire_put_varint(env, &value, 1, (uint64_t)tensor->shape[i]));
        assert_ok(env, det_wire_end(env, &value, dim));
    }
    assert_ok(env, det_wire_end(env, &value, shape));
    if (shard != 0)
        assert_ok(env, det_wire_put_varint(env, &value, 3, shard));
    if (offset != 0)
        assert_ok(env, det_wire_put_varint(env, &value, 4, offset));
    assert_ok(env, det_wire_put_varint(env, &value, 5, tensor->bytes));
    assert_ok(env,
              det_wire_put_fixed32(env, &value, 6,
                                   det_crc32c_mask(det_crc32c(0, tensor->data, tensor->bytes))));
    if (tensor->sliced)
        assert_ok(env, det_wire_put_bytes(env, &value, 7, "", 0));
    add_entry(w, tensor->key, &value);
    det_text_free(env, &value);
}

static int by_key(const void *a, const void *b)
{
    const struct test_bundle_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->key, (*y)->key);
}

static void write_footer(struct writer *w)
{
    static const uint8_t magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    struct det_text empty = {0}, handles = {0};
    append_u32(w, &w->restarts, 0);
    write_block(w, &empty, &w->restarts, 1, &handles); /* metaindex */
    write_block(w, &w->index, &w->restarts, 1, &handles);
    assert_true(handles.length <= 40);
    append(w, &w->file, handles.data, handles.length);
    for (size_t i = handles.length; i < 40; i++)
        append(w, &w->file, "", 1);
    append(w, &w->file, magic, 8);
    det_text_free(&w->env, &empty);
    det_text_free(&w->env, &handles);
}

void test_bundle_write(const char *prefix, const struct test_bundle_tensor *tensors, size_t count,
                       struct test_bundle_options options)
{
    struct writer w = {.options = options};
    struct det_text shards[SHARDS] = {{0}}, header = {0};
    const struct test_bundle_tensor *order[MOST_TENSORS] = {NULL};
    char path[512];
    det_env_default(&w.env);
    assert_true(count <= MOST_TENSORS);
    for (size_t i = 0; i < count; i++)
        order[i] = &tensors[i];
    if (count > 0)
        qsort(order, count, sizeof order[0], by_key);
    assert_ok(&w.env, det_wire_put_varint(&w.env, &header, 1, SHARDS));
    if (options.endianness != 0)
        assert_ok(&w.env, det_wire_put_varint(&w.env, &header, 2, options.endianness));
    assert_ok(&w.env, det_wire_put_bytes(&w.env, &header, 3, "\x08\x01", 2)); /* version.producer */
    if (!options.no_header)
        add_entry(&w, "", &header);
    for (size_t i = 0; i < count; i++) {
        struct det_text *shard = &shards[i % SHARDS];
        add_tensor(&w, order[i], (uint32_t)(i % SHARDS), shard->length);
        append(&w, shard, order[i]->data, order[i]->bytes);
    }
    flush(&w);
    write_footer(&w);
    for (unsigned i = 0; i < SHARDS; i++) {
        snprintf(path, sizeof path, "%s.data-%05u-of-%05u", prefix, i, (unsigned)SHARDS);
        assert_ok(&w.env, det_write_file(&w.env, path, shards[i].data, shards[i].length));
        det_text_free(&w.env, &shards[i]);
    }
    snprintf(path, sizeof path, "%s.index", prefix);
    assert_ok(&w.env, det_write_file(&w.env, path, w.file.data, w.file.length));
    det_text_free(&w.env, &header);
    det_text_free(&w.env, &w.file);
    det_text_free(&w.env, &w.index);
    det_text_free(&w.env, &w.block);
    det_text_free(&w.env, &w.restarts);
}
