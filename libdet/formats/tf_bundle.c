#include "formats/tf_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/half.h"
#include "formats/leveldb_table.h"
#include "formats/protowire.h"
#include "support/io.h"
#include "support/mem.h"

#define MOST_SHARDS 99999u /* five digits in the file name */

struct shard {
    struct det_file file;
    bool open;
    const uint8_t *memory; /* NULL: in the file */
};

struct det_tf_bundle {
    char *prefix;
    struct det_tf_entry *entries; /* sorted by key */
    size_t count, capacity;
    struct shard *shards;
    uint32_t shard_count;
    bool has_header;
};

/* --- the index --- */

static det_status parse_header(struct det_env *env, struct det_tf_bundle *bundle,
                               struct det_wire wire)
{
    uint64_t shards = 0, endianness = 0;
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &wire, &field));
        if (field.number == 0)
            break;
        if (field.number > 2)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_VARINT, "bundle header"));
        *(field.number == 1 ? &shards : &endianness) = field.value;
    }
    if (endianness != 0)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "written by a big-endian machine (endianness %llu)",
                        (unsigned long long)endianness);
    if (shards == 0 || shards > MOST_SHARDS)
        return det_fail(env, DET_STATUS_CORRUPT, "header names %llu data files",
                        (unsigned long long)shards);
    DET_TRY_RETURN(
        det_alloc(env, &bundle->shards, (size_t)shards, sizeof *bundle->shards, "data files"));
    bundle->shard_count = (uint32_t)shards;
    bundle->has_header = true;
    return DET_OK;
}

/* TensorShapeProto: dim = 2 (size = 1), unknown_rank = 3. */
static det_status parse_shape(struct det_env *env, struct det_tf_entry *entry, struct det_wire wire)
{
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number != 2)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_BYTES, "dimension"));
        if (entry->dims == DET_TF_MOST_DIMS)
            return det_fail(env, DET_STATUS_UNSUPPORTED, "more than %d dimensions",
                            DET_TF_MOST_DIMS);
        struct det_wire dim = field.payload;
        uint64_t size = 0;
        for (;;) {
            DET_TRY_RETURN(det_wire_next(env, &dim, &field));
            if (field.number == 0)
                break;
            if (field.number != 1)
                continue;
            DET_TRY_RETURN(det_wire_expect(env, &field, DET_WIRE_VARINT, "dimension's size"));
            size = field.value;
        }
        size_t count = 0;
        if (size > INT64_MAX || size > SIZE_MAX ||
            !det_size_mul(entry->count, (size_t)size, &count))
            return det_fail(env, DET_STATUS_CORRUPT, "dimension of size %lld", (long long)size);
        entry->count = count;
        entry->shape[entry->dims++] = (int64_t)size;
    }
}

/* BundleEntryProto: dtype 1, shape 2, shard_id 3, offset 4, size 5, crc32c 6 (fixed32, masked),
 * slices 7. */
static det_status parse_entry(struct det_env *env, struct det_tf_entry *entry, struct det_wire wire)
{
    static const enum det_wire_type types[] = {DET_WIRE_VARINT,  DET_WIRE_VARINT, DET_WIRE_BYTES,
                                               DET_WIRE_VARINT,  DET_WIRE_VARINT, DET_WIRE_VARINT,
                                               DET_WIRE_FIXED32, DET_WIRE_BYTES};
    for (;;) {
        struct det_wire_field field;
        DET_TRY_RETURN(det_wire_next(env, &wire, &field));
        if (field.number == 0)
            return DET_OK;
        if (field.number > 7)
            continue;
        DET_TRY_RETURN(det_wire_expect(env, &field, types[field.number], "bundle entry"));
        switch (field.number) {
        case 1:
            entry->dtype = (uint32_t)field.value;
            break;
        case 2:
            DET_TRY_RETURN(parse_shape(env, entry, field.payload));
            break;
        case 3:
            entry->shard = (uint32_t)(field.value > UINT32_MAX ? UINT32_MAX : field.value);
            break;
        case 4:
            entry->offset = field.value;
            break;
        case 5:
            entry->bytes = field.value;
            break;
        case 6:
            entry->masked_crc = (uint32_t)field.value;
            break;
        default:
            entry->sliced = true;
        }
    }
}

static det_status take_entry(struct det_env *env, void *argument, const char *key, size_t key_bytes,
                             const uint8_t *value, size_t value_bytes)
{
    struct det_tf_bundle *bundle = argument;
    const struct det_wire wire = det_wire_start(value, value_bytes);
    if (key_bytes == 0) {
        const det_status status = parse_header(env, bundle, wire);
        return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "bundle header");
    }
    /* "" sorts first: a table without it is no bundle. */
    if (!bundle->has_header)
        return det_fail(env, DET_STATUS_CORRUPT, "no bundle header before key `%.200s`", key);
    if (memchr(key, '\0', key_bytes) != NULL)
        return det_fail(env, DET_STATUS_CORRUPT, "key `%.200s` holds a NUL byte", key);
    DET_TRY_RETURN(det_grow(env, &bundle->entries, &bundle->capacity, bundle->count + 1,
                            sizeof *bundle->entries, "checkpoint entries"));
    struct det_tf_entry *entry = &bundle->entries[bundle->count];
    *entry = (struct det_tf_entry){.count = 1};
    DET_TRY_RETURN(det_strndup(env, &entry->key, key, key_bytes));
    bundle->count++;
    const det_status status = parse_entry(env, entry, wire);
    if (status != DET_OK)
        return det_fail_prefix(env, status, "`%s`", entry->key);
    if (entry->shard >= bundle->shard_count)
        return det_fail(env, DET_STATUS_CORRUPT, "`%s` is in data file %u of %u", entry->key,
                        entry->shard, bundle->shard_count);
    return DET_OK;
}

static det_status parse_index(struct det_env *env, struct det_tf_bundle *bundle,
                              const uint8_t *data, size_t bytes)
{
    static const char lfs[] = "version https://git-lfs";
    det_status status = DET_OK;
    if (bytes >= sizeof lfs - 1 && memcmp(data, lfs, sizeof lfs - 1) == 0)
        status = det_fail(env, DET_STATUS_CORRUPT, "is a Git LFS pointer: run `git lfs pull`");
    else
        status = det_table_walk(env, data, bytes, take_entry, bundle);
    if (status == DET_OK && !bundle->has_header)
        status = det_fail(env, DET_STATUS_CORRUPT, "holds no entries");
    return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "%s.index", bundle->prefix);
}

static det_status read_index(struct det_env *env, struct det_tf_bundle *bundle)
{
    char *path = NULL;
    struct det_file_bytes contents = {0};
    det_status status = DET_OK;
    DET_TRY(det_format(env, &path, "%s.index", bundle->prefix));
    DET_TRY(det_file_read(env, path, &contents));
    DET_TRY(parse_index(env, bundle, contents.data, contents.bytes));
fail:
    det_file_release(&contents);
    det_free(env, &path);
    return status;
}

det_status det_tf_bundle_open(struct det_env *env, const char *prefix,
                              struct det_tf_bundle **bundle)
{
    det_status status = DET_OK;
    const struct det_budget before = det_budget_open(env, prefix);
    DET_TRY(det_alloc(env, bundle, 1, sizeof **bundle, "checkpoint"));
    DET_TRY(det_strdup(env, &(*bundle)->prefix, prefix));
    DET_TRY(read_index(env, *bundle));
fail:
    det_budget_close(env, before);
    if (status != DET_OK)
        det_tf_bundle_close(env, bundle);
    return status;
}

det_status det_tf_bundle_open_memory(struct det_env *env, const char *name,
                                     const struct det_text *index, const struct det_text *data,
                                     struct det_tf_bundle **bundle)
{
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, bundle, 1, sizeof **bundle, "checkpoint"));
    DET_TRY(det_strdup(env, &(*bundle)->prefix, name));
    DET_TRY(parse_index(env, *bundle, (const uint8_t *)index->data, index->length));
    if ((*bundle)->shard_count != 1)
        DET_TRY(det_fail(env, DET_STATUS_UNSUPPORTED, "%s: has %u data files, expected one", name,
                         (*bundle)->shard_count));
    (*bundle)->shards[0] = (struct shard){.file = {.descriptor = -1, .bytes = data->length},
                                          .memory = (const uint8_t *)data->data};
fail:
    if (status != DET_OK)
        det_tf_bundle_close(env, bundle);
    return status;
}

void det_tf_bundle_close(struct det_env *env, struct det_tf_bundle **bundle)
{
    struct det_tf_bundle *b = *bundle;
    if (b == NULL)
        return;
    for (size_t i = 0; i < b->count; i++)
        det_free(env, &b->entries[i].key);
    for (uint32_t i = 0; i < b->shard_count; i++) {
        if (b->shards[i].open)
            det_file_close(&b->shards[i].file);
    }
    det_free(env, &b->entries);
    det_free(env, &b->shards);
    det_free(env, &b->prefix);
    det_free(env, bundle);
}

const char *det_tf_bundle_prefix(const struct det_tf_bundle *bundle)
{
    return bundle->prefix;
}

size_t det_tf_bundle_count(const struct det_tf_bundle *bundle)
{
    return bundle->count;
}

const struct det_tf_entry *det_tf_bundle_entry(const struct det_tf_bundle *bundle, size_t i)
{
    return i < bundle->count ? &bundle->entries[i] : NULL;
}

/* Compares `key` with `name` followed by `suffix`. */
static int compare_key(const char *key, const char *name, const char *suffix)
{
    const size_t length = strlen(name);
    const int order = strncmp(key, name, length);
    return order != 0 ? order : strcmp(key + length, suffix);
}

static const struct det_tf_entry *find(const struct det_tf_bundle *bundle, const char *name,
                                       const char *suffix)
{
    size_t low = 0, high = bundle->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = compare_key(bundle->entries[middle].key, name, suffix);
        if (order == 0)
            return &bundle->entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct det_tf_entry *det_tf_bundle_find(const struct det_tf_bundle *bundle, const char *key)
{
    return find(bundle, key, "");
}

const struct det_tf_entry *det_tf_bundle_find_variable(const struct det_tf_bundle *bundle,
                                                       const char *name)
{
    return find(bundle, name, DET_TF_VARIABLE_SUFFIX);
}

/* --- values --- */

static const struct {
    uint32_t dtype;
    uint32_t bytes; /* 0: not of a fixed size */
    const char *name;
} types[] = {
    {DET_TF_FLOAT, 4, "float"}, {DET_TF_DOUBLE, 8, "double"}, {DET_TF_INT32, 4, "int32"},
    {DET_TF_UINT8, 1, "uint8"}, {DET_TF_STRING, 0, "string"}, {DET_TF_INT64, 8, "int64"},
    {DET_TF_BOOL, 1, "bool"},   {DET_TF_HALF, 2, "half"},     {DET_TF_BFLOAT16, 2, "bfloat16"},
};

det_status det_tf_bundle_step(struct det_env *env, struct det_tf_bundle *bundle, int64_t *step)
{
    const struct det_tf_entry *entry = det_tf_bundle_find_variable(bundle, "step");
    *step = -1;
    if (entry == NULL)
        return DET_OK;
    DET_TRY_RETURN(det_tf_bundle_read_int64(env, bundle, entry, step));
    if (*step >= 0 && *step <= INT64_C(1) << 53)
        return DET_OK;
    const int64_t found = *step;
    *step = -1;
    return det_fail(env, DET_STATUS_CORRUPT, "%s: step is %lld", det_tf_bundle_prefix(bundle),
                    (long long)found);
}

const char *det_tf_type_name(uint32_t dtype, char buffer[16])
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].dtype == dtype)
            return types[i].name;
    }
    snprintf(buffer, 16, "type %u", dtype);
    return buffer;
}

static size_t type_bytes(uint32_t dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].dtype == dtype)
            return types[i].bytes;
    }
    return 0;
}

static det_status open_shard(struct det_env *env, const struct det_tf_bundle *bundle,
                             const struct det_tf_entry *entry, const char *path,
                             struct shard *shard)
{
    if (shard->open || shard->memory != NULL)
        return DET_OK;
    const det_status status = det_file_open(env, path, &shard->file);
    shard->open = status == DET_OK;
    return status == DET_OK ? DET_OK
                            : det_fail_prefix(env, status, "%s: `%s`", bundle->prefix, entry->key);
}

static det_status fail_crc(struct det_env *env, const struct det_tf_entry *entry, const char *path,
                           uint32_t computed)
{
    return det_fail(env, DET_STATUS_CORRUPT,
                    "%s: `%s` at byte %llu: CRC mismatch: stored 0x%08x, computed 0x%08x", path,
                    entry->key, (unsigned long long)entry->offset, entry->masked_crc, computed);
}

/* The entry's bytes from an open shard. */
static det_status read_entry(struct det_env *env, const struct det_tf_entry *entry,
                             const char *path, const struct shard *shard, uint8_t *data,
                             size_t bytes)
{
    if (entry->offset > shard->file.bytes || bytes > shard->file.bytes - entry->offset)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: truncated: `%s` ends at byte %llu, the file has %llu", path,
                        entry->key, (unsigned long long)entry->offset + bytes,
                        (unsigned long long)shard->file.bytes);
    if (shard->memory != NULL) {
        if (bytes > 0)
            memcpy(data, shard->memory + entry->offset, bytes);
        return DET_OK;
    }
    return det_file_read_at(env, path, &shard->file, entry->offset, data, bytes);
}

/* The CRC of a string of `length` bytes that stands behind its length and that one's CRC in `data`;
 * *text: where it begins. CORRUPT when it does not fit. */
static det_status string_crc(struct det_env *env, const struct det_tf_entry *entry,
                             const uint8_t *data, size_t bytes, size_t *text, uint32_t *crc)
{
    struct det_wire wire = det_wire_start(data, bytes);
    uint64_t length = 0;
    uint8_t fixed[4];
    DET_TRY_RETURN(det_wire_read_varint(env, &wire, &length));
    *text = wire.at + 4;
    if (*text > bytes || length != bytes - *text || length > UINT32_MAX)
        return det_fail(env, DET_STATUS_CORRUPT, "`%s`: a string of %llu bytes in %zu", entry->key,
                        (unsigned long long)length, bytes);
    for (int i = 0; i < 4; i++)
        fixed[i] = (uint8_t)(length >> (8 * i));
    *crc = det_crc32c(det_crc32c(0, fixed, 4), data + wire.at, bytes - wire.at);
    return DET_OK;
}

/* The `bytes` of an entry as they stand in the file; the caller frees *data. */
static det_status load_bytes(struct det_env *env, struct det_tf_bundle *bundle,
                             const struct det_tf_entry *entry, size_t bytes, const char *path,
                             uint8_t **data)
{
    struct shard *shard = &bundle->shards[entry->shard];
    det_status status = DET_OK;
    *data = NULL;
    DET_TRY(open_shard(env, bundle, entry, path, shard));
    /* Not before it is known that the file has them. */
    const struct det_budget before = det_budget_open(env, bundle->prefix);
    if (bytes <= shard->file.bytes)
        status = det_alloc_raw(env, data, bytes, 1, "values of a checkpoint");
    det_budget_close(env, before);
    DET_TRY(status);
    DET_TRY(read_entry(env, entry, path, shard, *data, bytes));
fail:
    if (status != DET_OK)
        det_free(env, data);
    return status;
}

static det_status data_path(struct det_env *env, const struct det_tf_bundle *bundle,
                            const struct det_tf_entry *entry, char **path)
{
    if (entry->sliced)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: `%s` is stored in slices", bundle->prefix,
                        entry->key);
    return det_format(env, path, "%s.data-%05u-of-%05u", bundle->prefix, entry->shard,
                      bundle->shard_count);
}

/* The bytes of an entry of a type of fixed size, their CRC checked; the caller frees *data. */
static det_status load_values(struct det_env *env, struct det_tf_bundle *bundle,
                              const struct det_tf_entry *entry, uint8_t **data)
{
    char *path = NULL;
    size_t wanted = 0;
    det_status status = DET_OK;
    *data = NULL;
    DET_TRY(data_path(env, bundle, entry, &path));
    if (!det_size_mul(entry->count, type_bytes(entry->dtype), &wanted) || wanted != entry->bytes)
        DET_TRY(det_fail(env, DET_STATUS_CORRUPT, "%s: `%s` has %llu bytes, its shape needs %zu",
                         bundle->prefix, entry->key, (unsigned long long)entry->bytes, wanted));
    DET_TRY(load_bytes(env, bundle, entry, wanted, path, data));
    const uint32_t computed = det_crc32c_mask(det_crc32c(0, *data, wanted));
    if (computed != entry->masked_crc)
        DET_TRY(fail_crc(env, entry, path, computed));
fail:
    det_free(env, &path);
    if (status != DET_OK)
        det_free(env, data);
    return status;
}

static uint64_t read_bits(const uint8_t *data, size_t bytes)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes; i++)
        bits |= (uint64_t)data[i] << (8 * i);
    return bits;
}

static double from_double(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

det_status det_tf_bundle_read_float(struct det_env *env, struct det_tf_bundle *bundle,
                                    const struct det_tf_entry *entry, float *out, size_t count)
{
    char name[16];
    if (count != entry->count)
        return det_fail(env, DET_STATUS_MISMATCH, "%s: `%s` has %zu values, expected %zu",
                        bundle->prefix, entry->key, entry->count, count);
    if (entry->dtype != DET_TF_FLOAT && entry->dtype != DET_TF_DOUBLE &&
        entry->dtype != DET_TF_HALF && entry->dtype != DET_TF_BFLOAT16)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: `%s` is a %s, not floating point",
                        bundle->prefix, entry->key, det_tf_type_name(entry->dtype, name));
    uint8_t *data = NULL;
    DET_TRY_RETURN(load_values(env, bundle, entry, &data));
    const size_t bytes = type_bytes(entry->dtype);
    for (size_t i = 0; i < count; i++) {
        const uint64_t bits = read_bits(data + i * bytes, bytes);
        if (entry->dtype == DET_TF_FLOAT)
            out[i] = det_wire_float((uint32_t)bits);
        else if (entry->dtype == DET_TF_DOUBLE)
            out[i] = (float)from_double(bits);
        else if (entry->dtype == DET_TF_HALF)
            out[i] = det_half_to_float((uint16_t)bits);
        else
            out[i] = det_wire_float((uint32_t)bits << 16);
    }
    det_free(env, &data);
    det_budget_return(env, count * bytes);
    return DET_OK;
}

det_status det_tf_bundle_read_int64(struct det_env *env, struct det_tf_bundle *bundle,
                                    const struct det_tf_entry *entry, int64_t *value)
{
    char name[16];
    *value = 0;
    if ((entry->dtype != DET_TF_INT64 && entry->dtype != DET_TF_INT32) || entry->count != 1)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: `%s` holds %zu of %s, expected one int64",
                        bundle->prefix, entry->key, entry->count,
                        det_tf_type_name(entry->dtype, name));
    uint8_t *data = NULL;
    DET_TRY_RETURN(load_values(env, bundle, entry, &data));
    if (entry->dtype == DET_TF_INT64)
        *value = (int64_t)read_bits(data, 8);
    else
        *value = (int32_t)(uint32_t)read_bits(data, 4);
    det_free(env, &data);
    return DET_OK;
}

static det_status read_string(struct det_env *env, struct det_tf_bundle *bundle,
                              const struct det_tf_entry *entry, struct det_text *bytes)
{
    const size_t length = (size_t)entry->bytes;
    char *path = NULL;
    uint8_t *data = NULL;
    size_t text = 0;
    uint32_t crc = 0;
    det_status status = DET_OK;
    if (entry->count != 1 || entry->bytes > SIZE_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: `%s` holds %zu strings, expected one",
                        bundle->prefix, entry->key, entry->count);
    DET_TRY(data_path(env, bundle, entry, &path));
    DET_TRY(load_bytes(env, bundle, entry, length, path, &data));
    status = string_crc(env, entry, data, length, &text, &crc);
    if (status != DET_OK)
        DET_TRY(det_fail_prefix(env, status, "%s", path));
    if (det_crc32c_mask(crc) != entry->masked_crc)
        DET_TRY(fail_crc(env, entry, path, det_crc32c_mask(crc)));
    DET_TRY(det_text_append(env, bytes, (const char *)data + text, length - text));
fail:
    if (data != NULL)
        det_budget_return(env, length);
    det_free(env, &data);
    det_free(env, &path);
    return status;
}

det_status det_tf_bundle_read_bytes(struct det_env *env, struct det_tf_bundle *bundle,
                                    const struct det_tf_entry *entry, struct det_text *bytes)
{
    uint8_t *data = NULL;
    if (entry->dtype == DET_TF_STRING)
        return read_string(env, bundle, entry, bytes);
    DET_TRY_RETURN(load_values(env, bundle, entry, &data));
    const det_status status = det_text_append(env, bytes, (const char *)data, (size_t)entry->bytes);
    det_free(env, &data);
    det_budget_return(env, (size_t)entry->bytes);
    return status;
}
