#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

#include "data/zip.h"
#include "support/mem.h"

/* As formats/tfrecord.c: far above what annotations and pictures compress to. */
#define ENTRY_FREE ((uint64_t)64 << 20)
#define TOTAL_FREE ((uint64_t)1 << 30)
#define RATIO      100u

struct archive {
    zip_t *zip;
    pthread_mutex_t lock; /* libzip has one state for all that read */
    size_t count;
    uint64_t file_bytes;
};

static bool beyond(uint64_t bytes, uint64_t packed, uint64_t allowed)
{
    return bytes > allowed && bytes / RATIO > packed;
}

static det_status check_entry(struct det_env *env, const char *path, const zip_stat_t *info)
{
    const zip_uint64_t needed = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE;
    if ((info->valid & needed) != needed)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: an entry without a name or a size", path);
    if ((info->valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && info->encryption_method != ZIP_EM_NONE)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: `%.200s` is encrypted: unpack the archive first", path, info->name);
    if ((info->valid & ZIP_STAT_COMP_METHOD) != 0 &&
        zip_compression_method_supported(info->comp_method, 0) == 0)
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

static det_status check_entries(struct det_env *env, const char *path, const struct archive *a)
{
    uint64_t packed = 0, bytes = 0;
    for (size_t i = 0; i < a->count; i++) {
        zip_stat_t info;
        if (zip_stat_index(a->zip, i, 0, &info) != 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: entry %zu: %s", path, i,
                            zip_strerror(a->zip));
        DET_TRY_RETURN(check_entry(env, path, &info));
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

static void close_archive(struct det_env *env, void *archive)
{
    struct archive *a = archive;
    if (a->zip != NULL)
        zip_discard(a->zip);
    pthread_mutex_destroy(&a->lock);
    det_free(env, &a);
}

static det_status open_archive(struct det_env *env, const char *path, void **archive)
{
    struct archive *a = NULL;
    struct stat info;
    int code = 0;
    det_status status = DET_OK;
    *archive = NULL;
    /* libzip would wait for a FIFO, and makes no file of what is not there only as long as it is
     * told so. */
    if (stat(path, &info) != 0)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: there is no such file", path);
    if (!S_ISREG(info.st_mode))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: is no file", path);
    DET_TRY_RETURN(det_alloc(env, &a, 1, sizeof *a, "archive"));
    pthread_mutex_init(&a->lock, NULL);
    a->file_bytes = (uint64_t)info.st_size;
    a->zip = zip_open(path, ZIP_RDONLY, &code);
    if (a->zip == NULL) {
        zip_error_t error;
        zip_error_init_with_code(&error, code);
        status =
            det_fail(env, code == ZIP_ER_MEMORY ? DET_STATUS_OUT_OF_MEMORY : DET_STATUS_CORRUPT,
                     "%s: %s", path, zip_error_strerror(&error));
        zip_error_fini(&error);
        goto fail;
    }
    a->count = (size_t)zip_get_num_entries(a->zip, 0);
    DET_TRY(check_entries(env, path, a));
    *archive = a;
    return DET_OK;
fail:
    close_archive(env, a);
    return status;
}

static size_t count_entries(const void *archive)
{
    return ((const struct archive *)archive)->count;
}

static const char *entry_name(const void *archive, size_t entry)
{
    const struct archive *a = archive;
    const char *name = zip_get_name(a->zip, entry, 0);
    return name != NULL ? name : "";
}

/* All that the entry holds, its checksum looked at by the read that finds the end. */
static det_status read_locked(struct det_env *env, struct archive *a, size_t entry,
                              const char *path, uint8_t *data, size_t bytes)
{
    zip_file_t *file = zip_fopen_index(a->zip, entry, 0);
    size_t used = 0;
    uint8_t beyond_end = 0;
    det_status status = DET_OK;
    if (file == NULL)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: %s", path, zip_strerror(a->zip));
    for (;;) {
        const bool full = used == bytes;
        const zip_int64_t got =
            zip_fread(file, full ? &beyond_end : data + used, full ? 1 : bytes - used);
        if (got < 0)
            status = det_fail(env, DET_STATUS_CORRUPT, "%s: %s", path, zip_file_strerror(file));
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
    zip_fclose(file);
    return status;
}

static det_status read_entry(struct det_env *env, void *archive, size_t entry, const char *path,
                             uint8_t **data, size_t *bytes)
{
    struct archive *a = archive;
    zip_stat_t info;
    det_status status = DET_OK;
    *data = NULL;
    *bytes = 0;
    pthread_mutex_lock(&a->lock);
    if (zip_stat_index(a->zip, entry, 0, &info) != 0)
        DET_TRY(det_fail(env, DET_STATUS_CORRUPT, "%s: %s", path, zip_strerror(a->zip)));
    DET_TRY(det_alloc_raw(env, data, (size_t)info.size, 1, "file of an archive"));
    DET_TRY(read_locked(env, a, entry, path, *data, (size_t)info.size));
    *bytes = (size_t)info.size;
fail:
    pthread_mutex_unlock(&a->lock);
    if (status != DET_OK)
        det_free(env, data);
    return status;
}

const struct det_archive_ops zip_archive_ops = {
    .open = open_archive,
    .count = count_entries,
    .name = entry_name,
    .read = read_entry,
    .close = close_archive,
};

const char *zip_about(void)
{
    return zip_libzip_version();
}
