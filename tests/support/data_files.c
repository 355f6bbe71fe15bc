#include "support/data_files.h"

#include <zlib.h>

#include "support/io.h"
#include "support/records.h"

/* The bytes of file `index` of a list; to be freed. */
static unsigned char *content_of(const struct data_file *file, unsigned index, size_t *bytes)
{
    struct det_env env;
    struct det_file_bytes contents = {.data = (const uint8_t *)file->text};
    det_env_default(&env);
    if (file->text == NULL)
        return test_make_jpeg(40, 30, index + 1, bytes);
    const bool is_file = file->text[0] == '@';
    if (is_file)
        assert_ok(&env, det_file_read(&env, file->text + 1, &contents));
    *bytes = is_file ? contents.bytes : strlen(file->text);
    unsigned char *copy = malloc(*bytes + 1);
    assert_non_null(copy);
    memcpy(copy, contents.data, *bytes);
    if (is_file)
        det_file_release(&contents);
    return copy;
}

void data_files_write(const char *folder, const struct data_file *files)
{
    struct det_env env;
    det_env_default(&env);
    for (unsigned i = 0; files[i].path != NULL; i++) {
        char path[900], *slash = NULL;
        size_t bytes = 0;
        unsigned char *content = content_of(&files[i], i, &bytes);
        snprintf(path, sizeof path, "%s/%s", folder, files[i].path);
        slash = strrchr(path, '/');
        *slash = '\0';
        assert_ok(&env, det_make_directories(&env, path));
        *slash = '/';
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(content, 1, bytes, file), bytes);
        fclose(file);
        free(content);
    }
}

void data_file_write_utf16(const char *path, const char *text, bool big_endian)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(big_endian ? "\xfe\xff" : "\xff\xfe", file);
    for (; *text != '\0'; text++) {
        fputc(big_endian ? 0 : *text, file);
        fputc(big_endian ? *text : 0, file);
    }
    assert_int_equal(fclose(file), 0);
}

/* --- zip (PKWARE's APPNOTE.TXT, 4.3) --- */

static void put(FILE *file, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        assert_true(fputc((int)(value >> (8 * i) & 0xff), file) != EOF);
}

struct packed {
    char name[300];
    unsigned char *data;
    uint32_t bytes, packed, crc, offset;
    uint16_t method, flags;
};

/* Raw deflate, or as it is. */
static void pack(struct packed *entry, const unsigned char *content, bool deflates)
{
    z_stream stream = {0};
    const uLong room = compressBound(entry->bytes) + 64;
    entry->data = malloc(room);
    assert_non_null(entry->data);
    memcpy(entry->data, content, entry->bytes);
    entry->packed = entry->bytes;
    if (!deflates)
        return;
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (z_const Bytef *)(uintptr_t)content;
    stream.avail_in = entry->bytes;
    stream.next_out = entry->data;
    stream.avail_out = (uInt)room;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    entry->packed = (uint32_t)stream.total_out;
    entry->method = 8;
    deflateEnd(&stream);
}

/* What both headers say of an entry. */
static void put_entry(FILE *file, const struct packed *entry)
{
    put(file, 20, 2); /* version needed */
    put(file, entry->flags, 2);
    put(file, entry->method, 2);
    put(file, 0x5a210000, 4); /* a day in 2025 */
    put(file, entry->crc, 4);
    put(file, entry->packed, 4);
    put(file, entry->bytes, 4);
    put(file, strlen(entry->name), 2);
    put(file, 0, 2); /* extra */
}

static void damage(struct packed *entry, unsigned index, enum zip_fault fault, uint32_t file_bytes)
{
    if (fault == ZIP_ENCRYPTED)
        entry->flags |= 1;
    if (fault == ZIP_UNKNOWN_METHOD)
        entry->method = 77;
    if (fault == ZIP_WRONG_CRC)
        entry->crc ^= 1;
    if (fault == ZIP_TOO_SHORT && index == 0)
        entry->bytes += 5;
    if (fault == ZIP_BOMB && index == 0)
        entry->bytes = 0xf0000000u;
    if (fault == ZIP_BOMBS)
        entry->bytes = 60 << 20;
    if (fault == ZIP_OVERLAPPING)
        entry->packed = file_bytes;
}

void data_files_zip(const char *path, const char *prefix, const struct data_file *files,
                    enum zip_fault fault)
{
    enum { MOST = 64 };
    static struct packed entries[MOST];
    unsigned count = 0;
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (; files[count].path != NULL; count++) {
        struct packed *entry = &entries[count];
        size_t bytes = 0;
        assert_true(count < MOST);
        unsigned char *content = content_of(&files[count], count, &bytes);
        *entry = (struct packed){.bytes = (uint32_t)bytes,
                                 .crc = (uint32_t)crc32(0, content, (uInt)bytes),
                                 .offset = (uint32_t)ftell(file)};
        snprintf(entry->name, sizeof entry->name, "%s%s", prefix, files[count].path);
        pack(entry, content, fault == ZIP_DEFLATED);
        free(content);
        const uint32_t stored = entry->packed;
        damage(entry, count, fault, 2000);
        put(file, 0x04034b50, 4);
        put_entry(file, entry);
        fputs(entry->name, file);
        assert_int_equal(fwrite(entry->data, 1, stored, file), stored);
        free(entry->data);
    }
    const long directory = ftell(file);
    for (unsigned i = 0; i < count; i++) {
        put(file, 0x02014b50, 4);
        put(file, 20, 2); /* made by */
        put_entry(file, &entries[i]);
        put(file, 0, 2); /* comment */
        put(file, 0, 2); /* disk */
        put(file, 0, 2); /* internal attributes */
        put(file, 0, 4); /* external ones */
        put(file, entries[i].offset, 4);
        fputs(entries[i].name, file);
    }
    const long end = ftell(file);
    if (fault != ZIP_CUT) {
        put(file, 0x06054b50, 4);
        put(file, 0, 4); /* disks */
        put(file, count, 2);
        put(file, count, 2);
        put(file, (uint64_t)(end - directory), 4);
        put(file, (uint64_t)directory, 4);
        put(file, 0, 2);
    }
    fclose(file);
}
