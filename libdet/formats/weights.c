#include "formats/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/half.h"
#include "formats/weights_layout.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"

/* Integers that a double holds exactly. */
#define MOST_INTEGER 9007199254740992.0

struct det_weights {
    char *path;
    struct det_file_bytes contents;
    struct det_json meta;
    struct det_weights_tensor *tensors;
    const struct det_weights_tensor **by_name; /* sorted */
    size_t count;
    size_t data_start;
};

static const struct {
    const char *name;
    size_t bytes;
} types[] = {
#define TYPE_ROW(name, text, bytes) {text, bytes},
    DET_WEIGHTS_TYPES(TYPE_ROW)
#undef TYPE_ROW
};

const char *det_weights_type_name(enum det_weights_type dtype)
{
    return (unsigned)dtype < DET_WEIGHTS_TYPE_COUNT ? types[dtype].name : "unknown";
}

size_t det_weights_type_bytes(enum det_weights_type dtype)
{
    return (unsigned)dtype < DET_WEIGHTS_TYPE_COUNT ? types[dtype].bytes : 0;
}

bool det_weights_shape_bytes(enum det_weights_type dtype, const int64_t *shape, int32_t dims,
                             size_t *count, size_t *bytes)
{
    *count = 1;
    *bytes = 0;
    for (int32_t d = 0; d < dims; d++) {
        if (shape[d] < 0 || (uint64_t)shape[d] > SIZE_MAX ||
            !det_size_mul(*count, (size_t)shape[d], count))
            return false;
    }
    return det_size_mul(*count, det_weights_type_bytes(dtype), bytes);
}

static uint64_t read_number(const uint8_t *data, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)data[i] << (8 * i);
    return value;
}

/* --- the fixed header --- */

static det_status fail_not_ours(struct det_env *env, const struct det_weights *file)
{
    char shown[WEIGHTS_MAGIC_BYTES * 4 + 1] = "";
    size_t length = 0;
    static const char lfs[] = "version https://git-lfs";
    if (file->contents.bytes >= sizeof lfs - 1 &&
        memcmp(file->contents.data, lfs, sizeof lfs - 1) == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: is a Git LFS pointer, not the weights: run `git lfs pull`",
                        file->path);
    for (size_t i = 0; i < WEIGHTS_MAGIC_BYTES && i < file->contents.bytes; i++) {
        const uint8_t byte = file->contents.data[i];
        length += (size_t)snprintf(shown + length, sizeof shown - length,
                                   byte >= 0x20 && byte < 0x7f ? "%c" : "\\x%02x", byte);
    }
    return det_fail(env, DET_STATUS_CORRUPT, "%s: not a libdet file (starts with \"%s\")",
                    file->path, shown);
}

/* Checks all but the JSON text, whose place it gives. */
static det_status check_fixed(struct det_env *env, struct det_weights *file, const char **json,
                              size_t *json_bytes)
{
    const uint8_t *data = file->contents.data;
    const size_t bytes = file->contents.bytes;
    const size_t magic = bytes < WEIGHTS_MAGIC_BYTES ? bytes : WEIGHTS_MAGIC_BYTES;
    if (memcmp(data, WEIGHTS_MAGIC, magic) != 0)
        return fail_not_ours(env, file);
    if (bytes < WEIGHTS_FIXED_BYTES)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: truncated: file has %zu bytes, the fixed header alone %u", file->path,
                        bytes, WEIGHTS_FIXED_BYTES);
    const uint32_t version = (uint32_t)read_number(data + WEIGHTS_AT_VERSION, 4);
    if (version > DET_WEIGHTS_VERSION)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: version %u is newer than this library (%d)", file->path, version,
                        DET_WEIGHTS_VERSION);
    if (version == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: version 0", file->path);
    const uint64_t file_bytes = read_number(data + WEIGHTS_AT_FILE_BYTES, 8);
    if (file_bytes != bytes)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: %s: file has %zu bytes, header says %llu",
                        file->path, file_bytes > bytes ? "truncated" : "too long", bytes,
                        (unsigned long long)file_bytes);
    const uint64_t header_bytes = read_number(data + WEIGHTS_AT_HEADER_BYTES, 8);
    if (header_bytes > bytes - WEIGHTS_FIXED_BYTES ||
        !weights_align(WEIGHTS_FIXED_BYTES + (size_t)header_bytes, &file->data_start) ||
        file->data_start > bytes)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: header of %llu bytes in a file of %zu",
                        file->path, (unsigned long long)header_bytes, bytes);
    const uint32_t stored = (uint32_t)read_number(data + WEIGHTS_AT_CRC, 4);
    const uint32_t computed =
        det_crc32c(0, data + WEIGHTS_AT_HEADER_BYTES,
                   WEIGHTS_FIXED_BYTES - WEIGHTS_AT_HEADER_BYTES + (size_t)header_bytes);
    if (stored != computed)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: header: CRC mismatch: stored 0x%08x, computed 0x%08x", file->path,
                        stored, computed);
    *json = (const char *)data + WEIGHTS_FIXED_BYTES;
    *json_bytes = (size_t)header_bytes;
    return DET_OK;
}

/* --- the JSON text --- */

/* A whole number from 0 to 2^53. */
static bool read_integer(struct det_json item, uint64_t *value)
{
    double number = 0;
    *value = 0;
    if (!det_json_number(item, &number) || !(number >= 0 && number <= MOST_INTEGER))
        return false;
    *value = (uint64_t)number;
    return (double)*value == number;
}

static bool read_member(struct det_json object, const char *name, uint64_t *value)
{
    return read_integer(det_json_get(object, name), value);
}

static bool read_shape(struct det_json shape, struct det_weights_tensor *tensor)
{
    if (det_json_kind(shape) != DET_JSON_LIST)
        return false;
    struct det_json_entry size;
    for (bool more = det_json_first(shape, &size); more; more = det_json_next(&size)) {
        uint64_t value = 0;
        if (tensor->dims == DET_WEIGHTS_MOST_DIMS || !read_integer(size.value, &value))
            return false;
        tensor->shape[tensor->dims++] = (int64_t)value;
    }
    return true;
}

static bool read_type(struct det_json dtype, struct det_weights_tensor *tensor)
{
    for (int i = 0; i < (int)DET_WEIGHTS_TYPE_COUNT; i++) {
        if (det_json_equals(dtype, types[i].name)) {
            tensor->dtype = (enum det_weights_type)i;
            return true;
        }
    }
    return false;
}

/* `*end` is where the tensor before ends, from the data's beginning; moved to this one's end. */
static det_status read_tensor(struct det_env *env, const struct det_weights *file,
                              struct det_json item, struct det_weights_tensor *tensor, size_t *end)
{
    const char *path = file->path;
    DET_TRY_RETURN(det_json_string(env, det_json_get(item, "name"), &tensor->name));
    if (tensor->name == NULL || tensor->name[0] == '\0')
        return det_fail(env, DET_STATUS_CORRUPT, "%s: header: a tensor has no name", path);
    const char *name = tensor->name;
    if (!read_type(det_json_get(item, "dtype"), tensor))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: tensor `%s`: unknown dtype", path, name);
    if (!read_shape(det_json_get(item, "shape"), tensor))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: tensor `%s`: bad shape", path, name);
    uint64_t offset = 0, bytes = 0, crc = 0;
    if (!read_member(item, "offset", &offset) || !read_member(item, "bytes", &bytes) ||
        !read_member(item, "crc32c", &crc) || crc > UINT32_MAX)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: tensor `%s`: bad offset, bytes or crc32c",
                        path, name);
    if (!det_weights_shape_bytes(tensor->dtype, tensor->shape, tensor->dims, &tensor->count,
                                 &tensor->bytes) ||
        tensor->bytes != bytes)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: tensor `%s`: has %llu bytes, its shape needs %zu", path, name,
                        (unsigned long long)bytes, tensor->bytes);
    const size_t room = file->contents.bytes - file->data_start;
    if (offset % WEIGHTS_ALIGN != 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: tensor `%s`: offset %llu is not aligned",
                        path, name, (unsigned long long)offset);
    if (offset < *end)
        return det_fail(
            env, DET_STATUS_CORRUPT,
            "%s: tensor `%s`: offset %llu overlaps the tensor before, which ends at %zu", path,
            name, (unsigned long long)offset, *end);
    if (offset > room || bytes > room - offset)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: tensor `%s`: %llu bytes at %llu, there are %zu", path, name,
                        (unsigned long long)bytes, (unsigned long long)offset, room);
    tensor->data = file->contents.data + file->data_start + (size_t)offset;
    tensor->crc = (uint32_t)crc;
    *end = (size_t)(offset + bytes);
    return DET_OK;
}

static int compare_names(const void *a, const void *b)
{
    const struct det_weights_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static det_status index_names(struct det_env *env, struct det_weights *file)
{
    DET_TRY_RETURN(det_alloc(env, &file->by_name, file->count, sizeof(void *), "index of tensors"));
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->count, sizeof(void *), compare_names);
    for (size_t i = 1; i < file->count; i++) {
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: tensor `%s` is there twice", file->path,
                            file->by_name[i]->name);
    }
    return DET_OK;
}

static det_status read_json(struct det_env *env, struct det_weights *file, const char *json,
                            size_t json_bytes)
{
    struct det_json root;
    if (det_json_parse(env, "header", json, json_bytes, &root) != DET_OK)
        return det_fail_prefix(env, DET_STATUS_CORRUPT, "%s", file->path);
    file->meta = det_json_get(root, "meta");
    const struct det_json tensors = det_json_get(root, "tensors");
    if (det_json_kind(file->meta) != DET_JSON_OBJECT || det_json_kind(tensors) != DET_JSON_LIST)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: header lacks the object `meta` or the list `tensors`", file->path);
    DET_TRY_RETURN(det_alloc(env, &file->tensors, det_json_count(tensors), sizeof *file->tensors,
                             "tensor list"));
    size_t end = 0;
    struct det_json_entry item;
    for (bool more = det_json_first(tensors, &item); more; more = det_json_next(&item)) {
        struct det_weights_tensor *tensor = &file->tensors[file->count++];
        DET_TRY_RETURN(read_tensor(env, file, item.value, tensor, &end));
    }
    return index_names(env, file);
}

/* --- the file --- */

/* Of *file only the path is there yet. */
static det_status take_contents(struct det_env *env, struct det_weights *file, bool verify)
{
    const char *json = NULL;
    size_t json_bytes = 0;
    DET_TRY_RETURN(check_fixed(env, file, &json, &json_bytes));
    DET_TRY_RETURN(read_json(env, file, json, json_bytes));
    return verify ? det_weights_verify(env, file) : DET_OK;
}

static det_status make_file(struct det_env *env, const char *name, struct det_weights **file)
{
    DET_TRY_RETURN(det_alloc(env, file, 1, sizeof **file, "weights file"));
    return det_strdup(env, &(*file)->path, name);
}

det_status det_weights_open(struct det_env *env, const char *path, bool verify,
                            struct det_weights **file)
{
    det_status status = DET_OK;
    DET_TRY(make_file(env, path, file));
    DET_TRY(det_file_read(env, path, &(*file)->contents));
    DET_TRY(take_contents(env, *file, verify));
    return DET_OK;
fail:
    det_weights_close(env, file);
    return status;
}

det_status det_weights_open_memory(struct det_env *env, const char *name, const void *data,
                                   size_t bytes, bool verify, struct det_weights **file)
{
    det_status status = DET_OK;
    DET_TRY(make_file(env, name, file));
    DET_TRY(det_file_copy(env, name, data, bytes, &(*file)->contents));
    DET_TRY(take_contents(env, *file, verify));
    return DET_OK;
fail:
    det_weights_close(env, file);
    return status;
}

void det_weights_close(struct det_env *env, struct det_weights **file)
{
    struct det_weights *f = *file;
    if (f == NULL)
        return;
    det_file_release(&f->contents);
    for (size_t i = 0; i < f->count; i++)
        det_free(env, &f->tensors[i].name);
    det_free(env, &f->by_name);
    det_free(env, &f->tensors);
    det_free(env, &f->path);
    det_free(env, file);
}

det_status det_weights_verify_tensor(struct det_env *env, const struct det_weights *file,
                                     const struct det_weights_tensor *tensor)
{
    const uint32_t computed = det_crc32c(0, tensor->data, tensor->bytes);
    if (computed == tensor->crc)
        return DET_OK;
    return det_fail(env, DET_STATUS_CORRUPT,
                    "%s: tensor `%s`: CRC mismatch: stored 0x%08x, computed 0x%08x", file->path,
                    tensor->name, tensor->crc, computed);
}

det_status det_weights_verify(struct det_env *env, const struct det_weights *file)
{
    for (size_t i = 0; i < file->count; i++)
        DET_TRY_RETURN(det_weights_verify_tensor(env, file, &file->tensors[i]));
    return DET_OK;
}

const char *det_weights_path(const struct det_weights *file)
{
    return file->path;
}

size_t det_weights_count(const struct det_weights *file)
{
    return file->count;
}

const struct det_weights_tensor *det_weights_tensor_at(const struct det_weights *file, size_t i)
{
    return i < file->count ? &file->tensors[i] : NULL;
}

const struct det_weights_tensor *det_weights_find(const struct det_weights *file, const char *name)
{
    size_t low = 0, high = file->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(file->by_name[middle]->name, name);
        if (order == 0)
            return file->by_name[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* "f32[3,3,8]" */
static void show_shape(char out[256], enum det_weights_type dtype, const int64_t *shape,
                       int32_t dims)
{
    int length = snprintf(out, 256, "%s[", det_weights_type_name(dtype));
    for (int32_t d = 0; d < dims && d < DET_WEIGHTS_MOST_DIMS; d++)
        length += snprintf(out + length, 256 - (size_t)length, "%s%lld", d > 0 ? "," : "",
                           (long long)shape[d]);
    snprintf(out + length, 256 - (size_t)length, "]");
}

det_status det_weights_require(struct det_env *env, const struct det_weights *file,
                               const char *name, enum det_weights_type dtype, const int64_t *shape,
                               int32_t dims, const struct det_weights_tensor **tensor)
{
    *tensor = NULL;
    const struct det_weights_tensor *found = det_weights_find(file, name);
    if (found == NULL)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: there is no tensor `%s`", file->path, name);
    if (found->dtype != dtype || found->dims != dims ||
        (dims > 0 && memcmp(found->shape, shape, (size_t)dims * sizeof *shape) != 0)) {
        char has[256], wanted[256];
        show_shape(has, found->dtype, found->shape, found->dims);
        show_shape(wanted, dtype, shape, dims);
        return det_fail(env, DET_STATUS_MISMATCH, "%s: tensor `%s` is %s, expected %s", file->path,
                        name, has, wanted);
    }
    *tensor = found;
    return DET_OK;
}

struct det_json det_weights_meta(const struct det_weights *file)
{
    return file->meta;
}

det_status det_weights_read_float(struct det_env *env, const struct det_weights *file,
                                  const struct det_weights_tensor *tensor, float *out)
{
    const uint16_t *halves = tensor->data;
    switch (tensor->dtype) {
    case DET_WEIGHTS_F32:
        memcpy(out, tensor->data, tensor->bytes);
        return DET_OK;
    case DET_WEIGHTS_F16:
        for (size_t i = 0; i < tensor->count; i++)
            out[i] = det_half_to_float(halves[i]);
        return DET_OK;
    case DET_WEIGHTS_BF16:
        for (size_t i = 0; i < tensor->count; i++) {
            const uint32_t bits = (uint32_t)halves[i] << 16;
            memcpy(&out[i], &bits, sizeof bits);
        }
        return DET_OK;
    default:
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: `%s` is %s, expected f32, f16 or bf16",
                        det_weights_path(file), tensor->name, det_weights_type_name(tensor->dtype));
    }
}
