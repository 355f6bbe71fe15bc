#include "formats/zip_stored.h"

#include <string.h>
#include <zlib.h>

enum {
    LOCAL_BYTES = 30,
    ENTRY_BYTES = 46,
    END_BYTES = 22,
    VERSION = 20,
    UTF8_FLAG = 1 << 11,
    FIRST_DATE = 1 << 5 | 1, /* 1980-01-01: the same model makes the same file */
};

#define LOCAL_SIGNATURE 0x04034b50u
#define ENTRY_SIGNATURE 0x02014b50u
#define END_SIGNATURE   0x06054b50u

/* --- writing --- */

static uint8_t *put16(uint8_t *to, size_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
    return to + 2;
}

static uint8_t *put32(uint8_t *to, size_t value)
{
    return put16(put16(to, value), value >> 16);
}

static uint32_t sum_of(const void *data, size_t bytes)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), data, (uInt)bytes);
}

/* What a local header and an entry of the directory have in common. */
static uint8_t *put_file(uint8_t *to, const struct det_zip_file *file)
{
    to = put16(to, VERSION);
    to = put16(to, UTF8_FLAG);
    to = put16(to, 0); /* stored */
    to = put16(to, 0); /* time */
    to = put16(to, FIRST_DATE);
    to = put32(to, sum_of(file->data, file->bytes));
    to = put32(to, file->bytes);
    to = put32(to, file->bytes);
    to = put16(to, strlen(file->name));
    return put16(to, 0); /* bytes of extra fields */
}

static det_status append(struct det_env *env, struct det_text *text, const uint8_t *header,
                         size_t bytes, const char *name)
{
    DET_TRY_RETURN(det_text_append(env, text, (const char *)header, bytes));
    return det_text_append(env, text, name, strlen(name));
}

static det_status append_entry(struct det_env *env, struct det_text *text,
                               const struct det_zip_file *file, size_t at)
{
    uint8_t header[ENTRY_BYTES] = {0}; /* comment, disk, attributes: none */
    put_file(put16(put32(header, ENTRY_SIGNATURE), VERSION), file);
    put32(header + ENTRY_BYTES - 4, at);
    return append(env, text, header, sizeof header, file->name);
}

det_status det_zip_append(struct det_env *env, struct det_text *text,
                          const struct det_zip_file *files, size_t count)
{
    const size_t start = text->length;
    for (size_t i = 0; i < count; i++) {
        uint8_t header[LOCAL_BYTES];
        put_file(put32(header, LOCAL_SIGNATURE), &files[i]);
        DET_TRY_RETURN(append(env, text, header, sizeof header, files[i].name));
        DET_TRY_RETURN(det_text_append(env, text, files[i].data, files[i].bytes));
    }
    const size_t directory = text->length;
    if (directory > UINT32_MAX / 2)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "a zip archive at byte %zu of a file",
                        directory);
    for (size_t i = 0, at = start; i < count; i++) {
        DET_TRY_RETURN(append_entry(env, text, &files[i], at));
        at += LOCAL_BYTES + strlen(files[i].name) + files[i].bytes;
    }
    uint8_t end[END_BYTES] = {0};
    uint8_t *to = put32(put32(end, END_SIGNATURE), 0);
    to = put16(put16(to, count), count);
    put32(put32(to, text->length - directory), directory);
    return append(env, text, end, sizeof end, "");
}

/* --- reading --- */

static size_t get16(const uint8_t *from)
{
    return (size_t)from[0] | (size_t)from[1] << 8;
}

static size_t get32(const uint8_t *from)
{
    return get16(from) | get16(from + 2) << 16;
}

static bool inside(size_t all, size_t at, size_t bytes)
{
    return at <= all && bytes <= all - at;
}

static det_status corrupt(struct det_env *env, size_t at)
{
    return det_fail(env, DET_STATUS_CORRUPT, "byte %zu: a damaged zip archive", at);
}

static det_status read_stored(struct det_env *env, const uint8_t *data, size_t bytes,
                              const uint8_t *entry, struct det_zip_file *file)
{
    const size_t at = get32(entry + 42);
    if (get16(entry + 10) != 0)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s in the zip archive is compressed",
                        file->name);
    if (!inside(bytes, at, LOCAL_BYTES) || get32(data + at) != LOCAL_SIGNATURE)
        return corrupt(env, at);
    const size_t start = at + LOCAL_BYTES + get16(data + at + 26) + get16(data + at + 28);
    file->bytes = get32(entry + 24);
    if (!inside(bytes, start, file->bytes) || get32(entry + 20) != file->bytes)
        return corrupt(env, at);
    file->data = data + start;
    return sum_of(file->data, file->bytes) == get32(entry + 16) ? DET_OK : corrupt(env, at);
}

det_status det_zip_find(struct det_env *env, const void *data, size_t bytes, const char *name,
                        struct det_zip_file *file)
{
    const uint8_t *from = data;
    *file = (struct det_zip_file){.name = name};
    const size_t end = bytes < END_BYTES ? 0 : bytes - END_BYTES;
    if (bytes < END_BYTES || get32(from + end) != END_SIGNATURE)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: there is no zip archive behind the model",
                        name);
    size_t at = get32(from + end + 16);
    for (size_t left = get16(from + end + 10); left > 0; left--) {
        if (!inside(end, at, ENTRY_BYTES) || get32(from + at) != ENTRY_SIGNATURE)
            return corrupt(env, at);
        const uint8_t *entry = from + at;
        const size_t length = get16(entry + 28);
        at += ENTRY_BYTES + length + get16(entry + 30) + get16(entry + 32);
        if (at > end)
            return corrupt(env, at);
        if (length == strlen(name) && memcmp(entry + ENTRY_BYTES, name, length) == 0)
            return read_stored(env, from, end, entry, file);
    }
    return det_fail(env, DET_STATUS_NOT_FOUND, "%s: not in the zip archive behind the model", name);
}
