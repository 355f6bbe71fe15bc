#include "formats/tfrecord.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/text.h"

#define LENGTH_BYTES 12u /* u64 length and its CRC */
#define FRAME_BYTES  16u /* with the data's CRC */

/* A compressed file may inflate to INFLATE_FREE bytes, or INFLATE_RATIO times its size if that is
 * more: far above what records of images compress to, far below what a few hostile megabytes
 * (1:1032) could claim. */
#define INFLATE_FREE  ((size_t)64 << 20)
#define INFLATE_RATIO 100u
#define INFLATE_START ((size_t)1 << 16)

#define SHARD_DIGITS 5
#define NAMED_SHARDS 5 /* missing shards that a message lists */

struct det_record_file {
    char *path;
    struct det_file_map map; /* closed once inflated */
    bool is_lent;            /* the map is the caller's memory */
    uint8_t *inflated;
    size_t inflated_capacity;
    const uint8_t *data; /* the map or `inflated` */
    size_t bytes;
    uint64_t
        *offsets; /* of each record's length field; checked to lie inside with all of the record */
    size_t offset_capacity;
    size_t record_count;
    size_t end;          /* of the last record */
    size_t first_record; /* its number in the set */
};

static uint32_t read_u32(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
}

static uint64_t read_u64(const uint8_t *data)
{
    return read_u32(data) | (uint64_t)read_u32(data + 4) << 32;
}

/* --- patterns
 * ---------------------------------------------------------------------------------------------------
 */

static bool has_magic(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (strchr("*?[", text[i]) != NULL)
            return true;
    }
    return false;
}

/* A set of shards `prefix` NNNNN "-of-" TOTAL `suffix`. */
struct shard_pattern {
    size_t prefix_length;
    const char *suffix;
    unsigned total;
};

static bool read_digits(const char *text, size_t digits, unsigned *value)
{
    *value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

/* "x@10", unless a file has that very name. */
static bool match_at_pattern(const char *pattern, struct shard_pattern *shards)
{
    const char *at = strrchr(pattern, '@');
    if (at == NULL || at == pattern)
        return false;
    const size_t digits = strlen(at + 1);
    if (digits == 0 || digits > SHARD_DIGITS || !read_digits(at + 1, digits, &shards->total) ||
        has_magic(pattern, (size_t)(at - pattern)) || det_file_exists(pattern))
        return false;
    shards->prefix_length = (size_t)(at - pattern);
    shards->suffix = at + 1 + digits;
    return true;
}

/* "x-?????-of-00010" and "x-*-of-00010", whatever follows, without other wildcards. */
static bool match_of_pattern(const char *pattern, struct shard_pattern *shards)
{
    /* Written in two pieces: two question marks and a minus are a trigraph. */
    static const char *const wildcards[] = {"-?????"
                                            "-of-",
                                            "-*-of-"};
    for (size_t i = 0; i < sizeof wildcards / sizeof wildcards[0]; i++) {
        const char *found = strstr(pattern, wildcards[i]);
        if (found == NULL)
            continue;
        const char *total = found + strlen(wildcards[i]);
        if (!read_digits(total, SHARD_DIGITS, &shards->total))
            continue;
        shards->prefix_length = (size_t)(found - pattern);
        shards->suffix = total + SHARD_DIGITS;
        return !has_magic(pattern, shards->prefix_length) &&
               !has_magic(shards->suffix, strlen(shards->suffix));
    }
    return false;
}

static det_status add_shards(struct det_env *env, const char *pattern,
                             const struct shard_pattern *shards, struct det_path_list *list)
{
    struct det_text missing = {0};
    char *path = NULL;
    unsigned missing_count = 0;
    det_status status = DET_OK;
    for (unsigned i = 0; i < shards->total; i++) {
        det_free(env, &path);
        DET_TRY(det_format(env, &path, "%.*s-%05u-of-%05u%s", (int)shards->prefix_length, pattern,
                           i, shards->total, shards->suffix));
        if (det_file_exists(path)) {
            DET_TRY(det_path_list_add(env, list, path));
            continue;
        }
        missing_count++;
        if (missing_count <= NAMED_SHARDS)
            DET_TRY(det_text_printf(env, &missing, "%s%s", missing_count > 1 ? ", " : "",
                                    det_path_name(path)));
    }
    if (missing_count == shards->total)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND, "%s: none of the %u shards is there", pattern,
                         shards->total));
    if (missing_count > 0)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND, "%s: %u of %u shards missing: %s%s", pattern,
                         missing_count, shards->total, missing.data,
                         missing_count > NAMED_SHARDS ? ", ..." : ""));
fail:
    det_free(env, &path);
    det_text_free(env, &missing);
    return status;
}

det_status det_record_paths(struct det_env *env, const char *pattern, struct det_path_list *list)
{
    struct shard_pattern shards;
    if (det_file_exists(pattern)) /* also one with "[" in its name */
        return det_path_list_add(env, list, pattern);
    if (match_at_pattern(pattern, &shards) || match_of_pattern(pattern, &shards))
        return add_shards(env, pattern, &shards, list);
    return det_glob(env, pattern, list);
}

/* --- one file
 * ---------------------------------------------------------------------------------------------------
 */

/* A lent map is not closed. */
static void close_map(struct det_record_file *file)
{
    if (file->map.data != NULL && !file->is_lent)
        det_file_map_close(&file->map);
}

static void file_release(struct det_env *env, struct det_record_file *file)
{
    close_map(file);
    det_free(env, &file->inflated);
    det_free(env, &file->offsets);
    det_free(env, &file->path);
}

/* Only a file that does not begin with a sound record can be a compressed one: a record's length
 * may look like any magic number. */
static bool looks_compressed(const uint8_t *data, size_t bytes)
{
    if (bytes >= LENGTH_BYTES && det_crc32c_mask(det_crc32c(0, data, 8)) == read_u32(data + 8))
        return false;
    if (bytes < 2)
        return false;
    const bool gzip = data[0] == 0x1f && data[1] == 0x8b;
    /* RFC 1950: deflate with a window of at most 32 KiB, header a multiple of 31. */
    const bool zlib =
        (data[0] & 0x0f) == 8 && data[0] >> 4 <= 7 && ((unsigned)data[0] << 8 | data[1]) % 31 == 0;
    return gzip || zlib;
}

/* zlib counts in unsigned int. */
static unsigned at_most_uint(size_t bytes)
{
    return bytes > (1u << 30) ? 1u << 30 : (unsigned)bytes;
}

static det_status inflate_stream(struct det_env *env, struct det_record_file *file,
                                 z_stream *stream)
{
    const struct det_file_map *map = &file->map;
    size_t limit = 0;
    if (!det_size_mul(map->bytes, INFLATE_RATIO, &limit))
        limit = SIZE_MAX;
    if (limit < INFLATE_FREE)
        limit = INFLATE_FREE;
    size_t used = 0, consumed = 0;
    for (;;) {
        if (used >= limit)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "%s: %zu compressed bytes inflate to more than %zu: refused",
                            file->path, map->bytes, limit);
        DET_TRY_RETURN(det_grow(env, &file->inflated, &file->inflated_capacity,
                                used + INFLATE_START, 1, "inflated records"));
        const unsigned input = at_most_uint(map->bytes - consumed);
        const unsigned room = at_most_uint(file->inflated_capacity - used);
        stream->next_in = (z_const Bytef *)(uintptr_t)(map->data + consumed);
        stream->avail_in = input;
        stream->next_out = file->inflated + used;
        stream->avail_out = room;
        const int result = inflate(stream, Z_NO_FLUSH);
        consumed += input - stream->avail_in;
        used += room - stream->avail_out;
        if (result == Z_MEM_ERROR)
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: zlib is out of memory", file->path);
        if (result == Z_STREAM_END) {
            if (consumed == map->bytes)
                break;
            /* gzip files may be glued together. */
            if (inflateReset(stream) != Z_OK)
                return det_fail(env, DET_STATUS_INTERNAL, "%s: zlib cannot restart", file->path);
        } else if (result == Z_BUF_ERROR ||
                   (result == Z_OK && consumed == map->bytes && stream->avail_out > 0)) {
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: compressed data is truncated after %zu bytes", file->path,
                            map->bytes);
        } else if (result != Z_OK) {
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: compressed data is damaged before byte %zu: %s", file->path,
                            consumed, stream->msg != NULL ? stream->msg : "bad stream");
        }
    }
    file->data = file->inflated;
    file->bytes = used;
    return DET_OK;
}

static det_status inflate_file(struct det_env *env, struct det_record_file *file)
{
    z_stream stream = {0};
    /* +32: gzip or zlib by the header. */
    const int result = inflateInit2(&stream, 15 + 32);
    if (result != Z_OK)
        return det_fail(env, result == Z_MEM_ERROR ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_INTERNAL,
                        "%s: cannot start zlib (%d)", file->path, result);
    const det_status status = inflate_stream(env, file, &stream);
    inflateEnd(&stream);
    if (status == DET_OK)
        close_map(file);
    return status;
}

static det_status index_records(struct det_env *env, struct det_record_file *file)
{
    size_t at = 0;
    while (at < file->bytes) {
        const size_t left = file->bytes - at;
        const size_t number = file->record_count;
        if (left < FRAME_BYTES)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: record %zu at byte %zu: truncated: needs at least %u bytes, "
                            "%zu are left",
                            file->path, number, at, FRAME_BYTES, left);
        const uint8_t *frame = file->data + at;
        const uint32_t stored = read_u32(frame + 8);
        const uint32_t computed = det_crc32c_mask(det_crc32c(0, frame, 8));
        if (stored != computed)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: record %zu at byte %zu: length CRC mismatch: stored 0x%08x, "
                            "computed 0x%08x%s",
                            file->path, number, at, stored, computed,
                            number == 0 ? " (not a TFRecord file?)" : "");
        const uint64_t length = read_u64(frame);
        if (length > left - FRAME_BYTES)
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: record %zu at byte %zu: truncated: needs %llu bytes, %zu are left",
                            file->path, number, at,
                            (unsigned long long)(length > UINT64_MAX - FRAME_BYTES
                                                     ? UINT64_MAX
                                                     : length + FRAME_BYTES),
                            left);
        DET_TRY_RETURN(det_grow(env, &file->offsets, &file->offset_capacity, number + 1,
                                sizeof *file->offsets, "record index"));
        file->offsets[file->record_count++] = at;
        at += (size_t)length + FRAME_BYTES;
        file->end = at;
    }
    return DET_OK;
}

/* The bytes are in `map`. */
static det_status file_read(struct det_env *env, const char *pattern, struct det_record_file *file)
{
    static const char lfs[] = "version https://git-lfs";
    const char *path = file->path;
    file->data = file->map.data;
    file->bytes = file->map.bytes;
    if (file->bytes >= sizeof lfs - 1 && memcmp(file->data, lfs, sizeof lfs - 1) == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: is a Git LFS pointer, not the records: run `git lfs pull`", path);
    if (looks_compressed(file->data, file->bytes))
        DET_TRY_RETURN(inflate_file(env, file));
    if (file->bytes == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: holds no records (named by `%s`)", path,
                        pattern);
    return index_records(env, file);
}

static det_status file_open(struct det_env *env, const char *path, const char *pattern,
                            struct det_record_file *file)
{
    DET_TRY_RETURN(det_strdup(env, &file->path, path));
    DET_TRY_RETURN(det_file_map_open(env, path, &file->map));
    return file_read(env, pattern, file);
}

/* --- the set
 * ----------------------------------------------------------------------------------------------------
 */

static det_status add_pattern(struct det_env *env, const char *pattern, struct det_record_set *set)
{
    struct det_path_list list = {0};
    det_status status = DET_OK;
    DET_TRY(det_record_paths(env, pattern, &list));
    for (size_t i = 0; i < list.count; i++) {
        DET_TRY(det_grow(env, &set->files, &set->file_capacity, set->file_count + 1,
                         sizeof *set->files, "record files"));
        struct det_record_file *file = &set->files[set->file_count++];
        file->first_record = set->record_count;
        DET_TRY(file_open(env, list.paths[i], pattern, file));
        set->record_count += file->record_count;
    }
fail:
    det_path_list_free(env, &list);
    return status;
}

det_status det_record_set_open(struct det_env *env, const char *const *patterns,
                               size_t pattern_count, struct det_record_set *set)
{
    *set = (struct det_record_set){0};
    det_status status = DET_OK;
    for (size_t i = 0; i < pattern_count; i++)
        DET_TRY(add_pattern(env, patterns[i], set));
    if (set->record_count == 0)
        DET_TRY(det_fail(env, DET_STATUS_NOT_FOUND, "%s",
                         pattern_count == 0 ? "no record file was named" : patterns[0]));
    return DET_OK;
fail:
    det_record_set_close(env, set);
    return status;
}

det_status det_record_set_open_file(struct det_env *env, const char *path,
                                    const struct det_file_map *lent, struct det_record_set *set,
                                    det_status *damage)
{
    *set = (struct det_record_set){0};
    *damage = DET_OK;
    det_status status = DET_OK;
    DET_TRY(det_grow(env, &set->files, &set->file_capacity, 1, sizeof *set->files, "record files"));
    struct det_record_file *file = &set->files[set->file_count++];
    if (lent != NULL) {
        file->map = *lent;
        file->is_lent = true;
        DET_TRY(det_strdup(env, &file->path, path));
        status = file_read(env, path, file);
    } else {
        status = file_open(env, path, path, file);
    }
    set->record_count = file->record_count;
    if (status != DET_STATUS_CORRUPT || file->record_count == 0)
        DET_TRY(status);
    *damage = status;
    return DET_OK;
fail:
    det_record_set_close(env, set);
    return status;
}

void det_record_set_close(struct det_env *env, struct det_record_set *set)
{
    for (size_t i = 0; i < set->file_count; i++)
        file_release(env, &set->files[i]);
    det_free(env, &set->files);
    *set = (struct det_record_set){0};
}

/* The file that holds record `index`, which is below record_count: the last whose first record is
 * not above it. */
static const struct det_record_file *find_file(const struct det_record_set *set, size_t index)
{
    size_t low = 0, high = set->file_count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (set->files[middle].first_record <= index)
            low = middle;
        else
            high = middle;
    }
    return &set->files[low];
}

det_status det_record_set_get(struct det_env *env, const struct det_record_set *set, size_t index,
                              const uint8_t **data, size_t *bytes)
{
    *data = NULL;
    *bytes = 0;
    if (index >= set->record_count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "record %zu: there are %zu", index,
                        set->record_count);
    const struct det_record_file *file = find_file(set, index);
    const size_t number = index - file->first_record;
    const size_t at = (size_t)file->offsets[number];
    const uint8_t *frame = file->data + at;
    /* Not the length field: whoever writes to the mapped file must not move us out of it. */
    const size_t end =
        number + 1 < file->record_count ? (size_t)file->offsets[number + 1] : file->end;
    const size_t length = end - at - FRAME_BYTES;
    const uint32_t stored = read_u32(frame + LENGTH_BYTES + length);
    const uint32_t computed = det_crc32c_mask(det_crc32c(0, frame + LENGTH_BYTES, length));
    if (stored != computed)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: record %zu at byte %zu: data CRC mismatch: stored 0x%08x, "
                        "computed 0x%08x",
                        file->path, number, at, stored, computed);
    *data = frame + LENGTH_BYTES;
    *bytes = length;
    return DET_OK;
}

const char *det_record_set_path(const struct det_record_set *set, size_t file)
{
    return set->files[file].path;
}

bool det_record_set_is_compressed(const struct det_record_set *set, size_t file)
{
    return set->files[file].inflated != NULL;
}

const char *det_record_set_name(const struct det_record_set *set, size_t index, char buffer[512])
{
    if (index >= set->record_count) {
        snprintf(buffer, 512, "record %zu", index);
        return buffer;
    }
    const struct det_record_file *file = find_file(set, index);
    snprintf(buffer, 512, "%.460s: record %zu", file->path, index - file->first_record);
    return buffer;
}

static void write_u32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

void det_tfrecord_frame(const void *data, size_t bytes, uint8_t head[LENGTH_BYTES], uint8_t tail[4])
{
    write_u32(head, (uint32_t)bytes);
    write_u32(head + 4, (uint32_t)((uint64_t)bytes >> 32));
    write_u32(head + 8, det_crc32c_mask(det_crc32c(0, head, 8)));
    write_u32(tail, det_crc32c_mask(det_crc32c(0, data, bytes)));
}

det_status det_tfrecord_write(struct det_env *env, struct det_writer *writer, const void *data,
                              size_t bytes)
{
    uint8_t head[LENGTH_BYTES], tail[4];
    det_tfrecord_frame(data, bytes, head, tail);
    DET_TRY_RETURN(det_writer_write(env, writer, head, sizeof head));
    DET_TRY_RETURN(det_writer_write(env, writer, data, bytes));
    return det_writer_write(env, writer, tail, sizeof tail);
}
