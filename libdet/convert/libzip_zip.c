#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#include "base/library.h"
#include "convert/zip.h"
#include "support/mem.h"

/* As formats/tfrecord.c: far above what annotations and pictures compress to. */
#define ENTRY_FREE ((uint64_t)64 << 20)
#define TOTAL_FREE ((uint64_t)1 << 30)
#define RATIO      100u

/* X(name) for each function. */
#define EACH_OF_LIBZIP(X)               \
    X(zip_open)                         \
    X(zip_open_from_source)             \
    X(zip_source_buffer_create)         \
    X(zip_source_free)                  \
    X(zip_discard)                      \
    X(zip_get_num_entries)              \
    X(zip_get_name)                     \
    X(zip_stat_index)                   \
    X(zip_compression_method_supported) \
    X(zip_fopen_index)                  \
    X(zip_fread)                        \
    X(zip_fclose)                       \
    X(zip_strerror)                     \
    X(zip_file_strerror)                \
    X(zip_error_init)                   \
    X(zip_error_init_with_code)         \
    X(zip_error_code_zip)               \
    X(zip_error_strerror)               \
    X(zip_error_fini)

/* Debian keeps the older number; what is used here is the same in both. */
static const char *const libraries[] = {"libzip.so.5", "libzip.so.4", NULL};

struct det_zip {
    void *library;
    zip_t *zip;
    pthread_mutex_t lock; /* libzip has one state for all that read */
    size_t count;
    uint64_t file_bytes;
#define MEMBER(name) __typeof__(name) *name;
    EACH_OF_LIBZIP(MEMBER)
#undef MEMBER
};

static bool beyond(uint64_t bytes, uint64_t packed, uint64_t allowed)
{
    return bytes > allowed && bytes / RATIO > packed;
}

static det_status check_entry(struct det_env *env, const struct det_zip *a, const char *path,
                              const zip_stat_t *info)
{
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if ((info->valid & needed) != needed)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: an entry without a name or a size", path);
    if ((info->valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && info->encryption_method != ZIP_EM_NONE)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: `%.200s` is encrypted: unpack the archive first", path, info->name);
    if ((info->valid & ZIP_STAT_COMP_METHOD) != 0 &&
        a->zip_compression_method_supported(info->comp_method, 0) == 0)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: `%.200s` is packed by method %u, which libzip here does not know",
                        path, info->name, info->comp_method);
    if (info->size > SIZE_MAX / 2 || beyond(info->size, info->comp_size, ENTRY_FREE))
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: `%.200s` claims to inflate from %llu bytes to %llu: refused", path,
                        info->name, (unsigned long long)info->comp_size,
                        (unsigned long long)info->size);
    return DET_OK;
}

static det_status check_entries(struct det_env *env, const char *path, const struct det_zip *a)
{
    uint64_t packed = 0, bytes = 0;
    for (size_t i = 0; i < a->count; i++) {
        zip_stat_t info;
        if (a->zip_stat_index(a->zip, i, 0, &info) != 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: entry %zu: %s", path, i,
                            a->zip_strerror(a->zip));
        DET_TRY_RETURN(check_entry(env, a, path, &info));
        packed = packed > UINT64_MAX - info.comp_size ? UINT64_MAX : packed + info.comp_size;
        bytes = bytes > UINT64_MAX - info.size ? UINT64_MAX : bytes + info.size;
    }
    if (packed > a->file_bytes)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: its entries take %llu bytes of a file of %llu: they overlap", path,
                        (unsigned long long)packed, (unsigned long long)a->file_bytes);
    if (beyond(bytes, a->file_bytes, TOTAL_FREE))
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: %llu bytes claim to inflate to %llu: refused", path,
                        (unsigned long long)a->file_bytes, (unsigned long long)bytes);
    return DET_OK;
}

static det_status load(struct det_env *env, const char *path, struct det_zip *a)
{
    det_any_function function = NULL;
    char what[600];
    snprintf(what, sizeof what, "%.500s: a zip archive", path);
    DET_TRY_RETURN(det_library_load(env, what, libraries,
                                    "libzip (Debian's package libzip4 or libzip5), or unpack it",
                                    &a->library));
#define FIND(name)                                                                 \
    DET_TRY_RETURN(det_library_function(env, what, a->library, #name, &function)); \
    a->name = (__typeof__(name) *)function;
    EACH_OF_LIBZIP(FIND)
#undef FIND
    return DET_OK;
}

const char *det_zip_missing(void)
{
    return det_library_is_there(libraries)
               ? NULL
               : "libzip.so.5 or libzip.so.4 cannot be loaded; install libzip (Debian's package "
                 "libzip4 or libzip5)";
}

static det_status fail_to_open(struct det_env *env, const struct det_zip *a, const char *path,
                               zip_error_t *error)
{
    const bool no_memory = a->zip_error_code_zip(error) == ZIP_ER_MEMORY;
    const det_status status =
        det_fail(env, no_memory ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_CORRUPT, "%s: %s", path,
                 a->zip_error_strerror(error));
    a->zip_error_fini(error);
    return status;
}

static det_status open_file(struct det_env *env, struct det_zip *a, const char *path)
{
    struct stat info;
    int code = 0;
    /* libzip would wait for a FIFO, and makes no file of what is not there only as long as it is
     * told so. */
    if (stat(path, &info) != 0)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: there is no such file", path);
    if (!S_ISREG(info.st_mode))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: is no file", path);
    a->file_bytes = (uint64_t)info.st_size;
    a->zip = a->zip_open(path, ZIP_RDONLY, &code);
    if (a->zip != NULL)
        return DET_OK;
    zip_error_t error;
    a->zip_error_init_with_code(&error, code);
    return fail_to_open(env, a, path, &error);
}

static det_status open_bytes(struct det_env *env, struct det_zip *a, const char *path,
                             const void *data, size_t bytes)
{
    zip_error_t error;
    a->file_bytes = bytes;
    a->zip_error_init(&error);
    zip_source_t *source = a->zip_source_buffer_create(data, bytes, 0, &error);
    if (source != NULL)
        a->zip = a->zip_open_from_source(source, ZIP_RDONLY, &error);
    if (a->zip == NULL) {
        if (source != NULL)
            a->zip_source_free(source);
        return fail_to_open(env, a, path, &error);
    }
    a->zip_error_fini(&error);
    return DET_OK;
}

void det_zip_close(struct det_env *env, struct det_zip **zip)
{
    struct det_zip *a = *zip;
    if (a == NULL)
        return;
    if (a->zip != NULL)
        a->zip_discard(a->zip);
    if (a->library != NULL)
        dlclose(a->library);
    pthread_mutex_destroy(&a->lock);
    det_free(env, zip);
}

det_status det_zip_open(struct det_env *env, const char *path, const void *data, size_t bytes,
                        struct det_zip **zip)
{
    struct det_zip *a = NULL;
    det_status status = DET_OK;
    *zip = NULL;
    DET_TRY_RETURN(det_alloc(env, &a, 1, sizeof *a, "archive"));
    pthread_mutex_init(&a->lock, NULL);
    DET_TRY(load(env, path, a));
    DET_TRY(data != NULL ? open_bytes(env, a, path, data, bytes) : open_file(env, a, path));
    a->count = (size_t)a->zip_get_num_entries(a->zip, 0);
    DET_TRY(check_entries(env, path, a));
    *zip = a;
    return DET_OK;
fail:
    det_zip_close(env, &a);
    return status;
}

size_t det_zip_count(const struct det_zip *zip)
{
    return zip->count;
}

const char *det_zip_name(const struct det_zip *zip, size_t entry)
{
    const char *name = zip->zip_get_name(zip->zip, entry, 0);
    return name != NULL ? name : "";
}

/* All that the entry holds, its checksum looked at by the read that finds the end. */
static det_status read_locked(struct det_env *env, struct det_zip *a, size_t entry,
                              const char *path, uint8_t *data, size_t bytes)
{
    zip_file_t *file = a->zip_fopen_index(a->zip, entry, 0);
    size_t used = 0;
    uint8_t beyond_end = 0;
    det_status status = DET_OK;
    if (file == NULL)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: %s", path, a->zip_strerror(a->zip));
    for (;;) {
        const bool full = used == bytes;
        const zip_int64_t got =
            a->zip_fread(file, full ? &beyond_end : data + used, full ? 1 : bytes - used);
        if (got < 0)
            status = det_fail(env, DET_STATUS_CORRUPT, "%s: %s", path, a->zip_file_strerror(file));
        else if (got > 0 && full)
            status =
                det_fail(env, DET_STATUS_CORRUPT,
                         "%s: holds more than the %zu bytes that the archive says", path, bytes);
        else if (got == 0 && !full)
            status = det_fail(env, DET_STATUS_CORRUPT,
                              "%s: ends after %zu of the %zu bytes that the archive says", path,
                              used, bytes);
        if (got <= 0 || status != DET_OK)
            break;
        used += (size_t)got;
    }
    a->zip_fclose(file);
    return status;
}

det_status det_zip_read(struct det_env *env, struct det_zip *a, size_t entry, const char *path,
                        uint8_t **data, size_t *bytes)
{
    zip_stat_t info;
    det_status status = DET_OK;
    *data = NULL;
    *bytes = 0;
    pthread_mutex_lock(&a->lock);
    if (a->zip_stat_index(a->zip, entry, 0, &info) != 0)
        DET_TRY(det_fail(env, DET_STATUS_CORRUPT, "%s: %s", path, a->zip_strerror(a->zip)));
    DET_TRY(det_alloc_raw(env, data, (size_t)info.size, 1, "file of an archive"));
    DET_TRY(read_locked(env, a, entry, path, *data, (size_t)info.size));
    *bytes = (size_t)info.size;
fail:
    pthread_mutex_unlock(&a->lock);
    if (status != DET_OK)
        det_free(env, data);
    return status;
}
