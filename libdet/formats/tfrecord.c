#include "formats/tfrecord.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/crc32c.h"
#include "support/mem.h"
#include "support/text.h"

#define LENGTH_BYTES 12u /* u64 length and its CRC */
#define FRAME_BYTES  16u /* with the data's CRC */

/* A compressed file may inflate to INFLATE_FREE bytes, or INFLATE_RATIO times its size if that is
 * more: far above what records of images compress to, far below what a few hostile megabytes
 * (1:1032) could claim. */
#define INFLATE_FREE  ((size_t)64 << 20)
#define INFLATE_RATIO 100u
#define INFLATE_START ((size_t)1 << 16)

/* Files of a set beyond these are opened anew for each record: a process has only so many
 * descriptors, 1024 as a rule. */
#define MOST_OPEN 256

#define SHARD_DIGITS 5
#define NAMED_SHARDS 5 /* missing shards that a message lists */

/* Where a record's length field is, and the checksum of its data that stood behind it then: it, not
 * the file, is what the data must agree with whenever it is read. */
struct record {
    uint64_t offset;
    uint32_t masked_crc;
};

struct det_record_file {
    char *path;
    struct det_file file; /* open, unless there are too many files, or it was compressed */
    uint8_t *inflated;    /* what a compressed file holds */
    size_t inflated_capacity;
    /* all of it: `inflated`, or lent by the caller; NULL: it is read from the file */
    const uint8_t *memory;
    uint64_t bytes; /* of records and their frames */
    struct record *records;
    size_t record_capacity;
    size_t record_count;
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

/* --- patterns --- */

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
    if (det_file_exists(pattern)) /* whatever characters its name has */
        return det_path_list_add(env, list, pattern);
    if (match_at_pattern(pattern, &shards) || match_of_pattern(pattern, &shards))
        return add_shards(env, pattern, &shards, list);
    return det_glob(env, pattern, list);
}

/* --- one file --- */

static void file_release(struct det_env *env, struct det_record_file *file)
{
    det_file_close(&file->file);
    det_free(env, &file->inflated);
    det_free(env, &file->records);
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
                                 const struct det_file_bytes *contents, z_stream *stream)
{
    size_t limit = 0;
    if (!det_size_mul(contents->bytes, INFLATE_RATIO, &limit))
        limit = SIZE_MAX;
    if (limit < INFLATE_FREE)
        limit = INFLATE_FREE;
    size_t used = 0, consumed = 0;
    for (;;) {
        if (used >= limit)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "%s: %zu compressed bytes inflate to more than %zu: refused",
                            file->path, contents->bytes, limit);
        DET_TRY_RETURN(det_grow(env, &file->inflated, &file->inflated_capacity,
                                used + INFLATE_START, 1, "inflated records"));
        const unsigned input = at_most_uint(contents->bytes - consumed);
        const unsigned room = at_most_uint(file->inflated_capacity - used);
        stream->next_in = (z_const Bytef *)(uintptr_t)(contents->data + consumed);
        stream->avail_in = input;
        stream->next_out = file->inflated + used;
        stream->avail_out = room;
        const int result = inflate(stream, Z_NO_FLUSH);
        consumed += input - stream->avail_in;
        used += room - stream->avail_out;
        if (result == Z_MEM_ERROR)
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: zlib is out of memory", file->path);
        if (result == Z_STREAM_END) {
            if (consumed == contents->bytes)
                break;
            /* gzip files may be glued together. */
            if (inflateReset(stream) != Z_OK)
                return det_fail(env, DET_STATUS_INTERNAL, "%s: zlib cannot restart", file->path);
        } else if (result == Z_BUF_ERROR ||
                   (result == Z_OK && consumed == contents->bytes && stream->avail_out > 0)) {
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: compressed data is truncated after %zu bytes", file->path,
                            contents->bytes);
        } else if (result != Z_OK) {
            return det_fail(env, DET_STATUS_CORRUPT,
                            "%s: compressed data is damaged before byte %zu: %s", file->path,
                            consumed, stream->msg != NULL ? stream->msg : "bad stream");
        }
    }
    file->bytes = used;
    file->memory = file->inflated;
    return DET_OK;
}

/* `lent`: see det_record_set_open_file(). */
static det_status inflate_file(struct det_env *env, const struct det_file_bytes *lent,
                               struct det_record_file *file)
{
    struct det_file_bytes contents = {0};
    z_stream stream = {0};
    if (lent == NULL)
        DET_TRY_RETURN(det_file_read(env, file->path, &contents));
    /* +32: gzip or zlib by the header. */
    const int result = inflateInit2(&stream, 15 + 32);
    det_status status = DET_OK;
    if (result == Z_OK) {
        status = inflate_stream(env, file, lent != NULL ? lent : &contents, &stream);
        inflateEnd(&stream);
    } else {
        status =
            det_fail(env, result == Z_MEM_ERROR ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_INTERNAL,
                     "%s: cannot start zlib (%d)", file->path, result);
    }
    det_file_release(&contents);
    det_file_close(&file->file);
    return status;
}

static det_status read_at(struct det_env *env, const struct det_record_file *file, uint64_t offset,
                          void *to, size_t bytes)
{
    if (file->memory == NULL)
        return det_file_read_at(env, file->path, &file->file, offset, to, bytes);
    memcpy(to, file->memory + offset, bytes);
    return DET_OK;
}

/* Reads the frame of the record at `at` and adds it. */
static det_status index_record(struct det_env *env, struct det_record_file *file, uint64_t *at)
{
    const uint64_t left = file->bytes - *at;
    const size_t number = file->record_count;
    uint8_t head[LENGTH_BYTES], tail[FRAME_BYTES - LENGTH_BYTES];
    if (left < FRAME_BYTES)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: record %zu at byte %llu: truncated: needs at least %u bytes, "
                        "%llu are left",
                        file->path, number, (unsigned long long)*at, FRAME_BYTES,
                        (unsigned long long)left);
    DET_TRY_RETURN(read_at(env, file, *at, head, sizeof head));
    const uint32_t stored = read_u32(head + 8);
    const uint32_t computed = det_crc32c_mask(det_crc32c(0, head, 8));
    if (stored != computed)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: record %zu at byte %llu: length CRC mismatch: stored 0x%08x, "
                        "computed 0x%08x%s",
                        file->path, number, (unsigned long long)*at, stored, computed,
                        number == 0 ? " (not a TFRecord file?)" : "");
    const uint64_t length = read_u64(head);
    if (length > left - FRAME_BYTES)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: record %zu at byte %llu: truncated: needs %llu bytes, %llu are left",
                        file->path, number, (unsigned long long)*at,
                        (unsigned long long)(length > UINT64_MAX - FRAME_BYTES
                                                 ? UINT64_MAX
                                                 : length + FRAME_BYTES),
                        (unsigned long long)left);
    DET_TRY_RETURN(read_at(env, file, *at + LENGTH_BYTES + length, tail, sizeof tail));
    DET_TRY_RETURN(det_grow(env, &file->records, &file->record_capacity, number + 1,
                            sizeof *file->records, "record index"));
    file->records[file->record_count++] = (struct record){*at, read_u32(tail)};
    *at += length + FRAME_BYTES;
    return DET_OK;
}

/* The records before damage are there, also after a failure. */
static det_status index_records(struct det_env *env, struct det_record_file *file)
{
    uint64_t at = 0;
    det_status status = DET_OK;
    while (status == DET_OK && at < file->bytes)
        status = index_record(env, file, &at);
    file->bytes = at;
    return status;
}

static det_status open_here(struct det_env *env, const char *pattern,
                            const struct det_file_bytes *lent, struct det_record_file *file)
{
    static const char lfs[] = "version https://git-lfs";
    uint8_t start[32] = {0};
    if (lent == NULL)
        DET_TRY_RETURN(det_file_open(env, file->path, &file->file));
    file->memory = lent != NULL ? lent->data : NULL;
    file->bytes = lent != NULL ? lent->bytes : file->file.bytes;
    const size_t known = file->bytes < sizeof start ? (size_t)file->bytes : sizeof start;
    DET_TRY_RETURN(read_at(env, file, 0, start, known));
    if (memcmp(start, lfs, sizeof lfs - 1) == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: is a Git LFS pointer, not the records: run `git lfs pull`",
                        file->path);
    if (looks_compressed(start, known))
        DET_TRY_RETURN(inflate_file(env, lent, file));
    if (file->bytes == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: holds no records (named by `%s`)", file->path,
                        pattern);
    return index_records(env, file);
}

static det_status file_open(struct det_env *env, const char *path, const char *pattern,
                            const struct det_file_bytes *lent, struct det_record_file *file)
{
    file->file.descriptor = -1;
    DET_TRY_RETURN(det_strdup(env, &file->path, path));
    const struct det_budget before = det_budget_open(env, path);
    const det_status status = open_here(env, pattern, lent, file);
    det_budget_close(env, before);
    return status;
}

/* --- the set --- */

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
        DET_TRY(file_open(env, list.paths[i], pattern, NULL, file));
        set->record_count += file->record_count;
        if (set->file_count > MOST_OPEN)
            det_file_close(&file->file);
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
                                    const struct det_file_bytes *lent, struct det_record_set *set,
                                    det_status *damage)
{
    *set = (struct det_record_set){0};
    *damage = DET_OK;
    det_status status = DET_OK;
    DET_TRY(det_grow(env, &set->files, &set->file_capacity, 1, sizeof *set->files, "record files"));
    struct det_record_file *file = &set->files[set->file_count++];
    status = file_open(env, path, path, lent, file);
    det_file_close(&file->file);
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

void det_record_free(struct det_env *env, struct det_record *record)
{
    det_free(env, &record->own);
    *record = (struct det_record){0};
}

/* Brings a record's data into memory. */
static det_status load_record(struct det_env *env, const struct det_record_file *file,
                              uint64_t offset, size_t length, struct det_record *record)
{
    struct det_file opened = file->file;
    if (file->memory != NULL) {
        record->data = file->memory + offset;
        return DET_OK;
    }
    if (length > record->room || record->own == NULL) {
        det_record_free(env, record);
        DET_TRY_RETURN(det_alloc_raw(env, &record->own, length, 1, "a record"));
        record->room = length;
    }
    record->data = record->own;
    if (opened.descriptor < 0)
        DET_TRY_RETURN(det_file_open(env, file->path, &opened));
    const det_status status =
        det_file_read_at(env, file->path, &opened, offset, record->own, length);
    if (file->file.descriptor < 0)
        det_file_close(&opened);
    return status;
}

static det_status read_record(struct det_env *env, const struct det_record_file *file,
                              size_t number, struct det_record *record)
{
    const struct record place = file->records[number];
    /* Not what the length field says now: the index was checked. */
    const uint64_t end =
        number + 1 < file->record_count ? file->records[number + 1].offset : file->bytes;
    const size_t length = (size_t)(end - place.offset - FRAME_BYTES);
    DET_TRY_RETURN(load_record(env, file, place.offset + LENGTH_BYTES, length, record));
    const uint32_t computed = det_crc32c_mask(det_crc32c(0, record->data, length));
    if (place.masked_crc != computed)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: record %zu at byte %llu: data CRC mismatch: stored 0x%08x, computed "
                        "0x%08x (damaged, or changed since it was opened)",
                        file->path, number, (unsigned long long)place.offset, place.masked_crc,
                        computed);
    record->bytes = length;
    return DET_OK;
}

struct det_record_place det_record_set_place(const struct det_record_set *set, size_t index)
{
    const struct det_record_file *file = find_file(set, index);
    return (struct det_record_place){file, index - file->first_record};
}

det_status det_record_read(struct det_env *env, struct det_record_place place,
                           struct det_record *record)
{
    record->bytes = 0;
    const struct det_budget before = det_budget_open(env, place.file->path);
    const det_status status = read_record(env, place.file, place.number, record);
    det_budget_close(env, before);
    return status;
}

det_status det_record_set_get(struct det_env *env, const struct det_record_set *set, size_t index,
                              struct det_record *record)
{
    record->bytes = 0;
    if (index >= set->record_count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "record %zu: there are %zu", index,
                        set->record_count);
    return det_record_read(env, det_record_set_place(set, index), record);
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
