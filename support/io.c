#include "support/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/guard.h"
#include "support/mem.h"

static const uint8_t empty_file[DET_ALIGNMENT];

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a pipe"
           : S_ISSOCK(mode) ? "a socket"
                            : "a device";
}

det_status det_file_open(struct det_env *env, const char *path, struct det_file *file)
{
    struct stat info;
    det_status status = DET_OK;
    *file = (struct det_file){.descriptor = -1};
    DET_TRY_RETURN(det_guard_reading(env, path));
    /* O_NONBLOCK: opening a pipe without a writer would wait for one. */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0)
        return det_fail_errno(env, errno, "%s", path);
    if (fstat(descriptor, &info) != 0)
        status = det_fail_errno(env, errno, "%s", path);
    else if (!S_ISREG(info.st_mode))
        status = det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: is %s, expected a file", path,
                          kind_of(info.st_mode));
    if (status != DET_OK) {
        close(descriptor);
        return status;
    }
    *file = (struct det_file){.descriptor = descriptor, .bytes = (uint64_t)info.st_size};
    return DET_OK;
}

det_status det_file_read_at(struct det_env *env, const char *path, const struct det_file *file,
                            uint64_t offset, void *to, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t got =
            pread(file->descriptor, (uint8_t *)to + done, bytes - done, (off_t)(offset + done));
        if (got < 0 && errno != EINTR)
            return det_fail_errno(env, errno, "%s: cannot read", path);
        if (got == 0)
            return det_fail(env, DET_STATUS_IO,
                            "%s: was cut off while it was in use: it had %llu bytes, now it ends "
                            "before byte %llu",
                            path, (unsigned long long)file->bytes,
                            (unsigned long long)offset + bytes);
        done += got > 0 ? (size_t)got : 0;
    }
    return DET_OK;
}

void det_file_close(struct det_file *file)
{
    if (file->descriptor >= 0)
        close(file->descriptor);
    *file = (struct det_file){.descriptor = -1};
}

/* Room for a file of that many bytes, which the caller fills, with the zeros behind it. */
static det_status make_room(struct det_env *env, const char *path, uint64_t bytes, uint8_t **data)
{
    if (bytes > PTRDIFF_MAX - DET_ALIGNMENT)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: %llu bytes are too many", path,
                        (unsigned long long)bytes);
    const size_t room = ((size_t)bytes + DET_ALIGNMENT - 1) / DET_ALIGNMENT * DET_ALIGNMENT;
    DET_TRY_RETURN(det_alloc_raw(env, data, room, 1, "the file"));
    memset(*data + bytes, 0, room - (size_t)bytes);
    return DET_OK;
}

static det_status read_whole(struct det_env *env, const char *path, const struct det_file *file,
                             struct det_file_bytes *contents)
{
    uint8_t *data = NULL;
    DET_TRY_RETURN(make_room(env, path, file->bytes, &data));
    const size_t bytes = (size_t)file->bytes;
    const det_status status = det_file_read_at(env, path, file, 0, data, bytes);
    if (status != DET_OK) {
        det_free(env, &data);
        return status;
    }
    *contents = (struct det_file_bytes){data, bytes, env->allocator};
    return DET_OK;
}

det_status det_file_read(struct det_env *env, const char *path, struct det_file_bytes *contents)
{
    struct det_file file;
    *contents = (struct det_file_bytes){.data = empty_file};
    DET_TRY_RETURN(det_file_open(env, path, &file));
    const struct det_budget before = det_budget_open(env, path);
    const det_status status = file.bytes > 0 ? read_whole(env, path, &file, contents) : DET_OK;
    det_budget_close(env, before);
    det_file_close(&file);
    return status;
}

det_status det_file_copy(struct det_env *env, const char *name, const void *data, size_t bytes,
                         struct det_file_bytes *contents)
{
    uint8_t *copy = NULL;
    *contents = (struct det_file_bytes){.data = empty_file};
    if (bytes == 0)
        return DET_OK;
    const struct det_budget before = det_budget_open(env, name);
    const det_status status = make_room(env, name, bytes, &copy);
    det_budget_close(env, before);
    if (status != DET_OK)
        return status;
    memcpy(copy, data, bytes);
    *contents = (struct det_file_bytes){copy, bytes, env->allocator};
    return DET_OK;
}

void det_file_release(struct det_file_bytes *contents)
{
    if (contents->allocator.release != NULL)
        contents->allocator.release(contents->allocator.user, (void *)(uintptr_t)contents->data);
    *contents = (struct det_file_bytes){.data = empty_file};
}

bool det_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool det_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool det_same_file(const char *a, const char *b)
{
    struct stat one, other;
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

det_status det_keep_old_file(struct det_env *env, const char *path, char **kept)
{
    DET_TRY_RETURN(det_format(env, kept, "%s.old", path));
    for (int n = 2; det_file_exists(*kept); n++) {
        det_free(env, kept);
        DET_TRY_RETURN(det_format(env, kept, "%s.old-%d", path, n));
    }
    if (rename(path, *kept) == 0)
        return DET_OK;
    const int error_number = errno;
    const det_status status =
        error_number == ENOENT
            ? DET_OK
            : det_fail_errno(env, error_number, "%s: is another one, and cannot be kept as %s",
                             path, *kept);
    det_free(env, kept);
    return status;
}

det_status det_make_directories(struct det_env *env, const char *path)
{
    char *copy = NULL;
    if (det_guard_rehearses(env))
        return DET_OK;
    if (path[0] == '\0')
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "the name of a folder is empty");
    DET_TRY_RETURN(det_strdup(env, &copy, path));
    det_status status = DET_OK;
    for (char *end = copy + (copy[0] == '/');; end++) {
        const char at = *end;
        if (at != '/' && at != '\0')
            continue;
        *end = '\0';
        if (copy[0] != '\0' && mkdir(copy, 0777) != 0 && errno != EEXIST) {
            status = det_fail_errno(env, errno, "%s: cannot make folder", copy);
            break;
        }
        if (at == '\0')
            break;
        *end = '/';
    }
    if (status == DET_OK && !det_is_directory(path))
        status = det_fail(env, DET_STATUS_IO, "%s: exists and is not a folder", path);
    det_free(env, &copy);
    return status;
}

void det_path_list_free(struct det_env *env, struct det_path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        det_free(env, &list->paths[i]);
    det_free(env, &list->paths);
    *list = (struct det_path_list){0};
}

det_status det_path_list_add(struct det_env *env, struct det_path_list *list, const char *path)
{
    DET_TRY_RETURN(det_grow(env, &list->paths, &list->capacity, list->count + 1,
                            sizeof *list->paths, "path list"));
    DET_TRY_RETURN(det_strdup(env, &list->paths[list->count], path));
    list->count++;
    return DET_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

det_status det_list_directory(struct det_env *env, const char *directory,
                              struct det_path_list *list)
{
    DIR *folder = opendir(directory);
    if (folder == NULL)
        return det_fail_errno(env, errno, "%s: cannot list", directory);
    const size_t first = list->count;
    det_status status = DET_OK;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            if (errno != 0)
                status = det_fail_errno(env, errno, "%s: cannot list", directory);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        char *path = NULL;
        DET_TRY(det_path_join(env, &path, directory, entry->d_name));
        status = det_path_list_add(env, list, path);
        det_free(env, &path);
        if (status != DET_OK)
            break;
    }
fail:
    closedir(folder);
    if (status == DET_OK && list->count > first)
        qsort(list->paths + first, list->count - first, sizeof *list->paths, compare_paths);
    return status;
}

/* A folder that cannot be read matches nothing; one for which there is no memory must not. */
static int stop_without_memory(const char *path, int error)
{
    (void)path;
    return error == ENOMEM;
}

det_status det_glob(struct det_env *env, const char *pattern, struct det_path_list *list)
{
    if (strpbrk(pattern, "*?[") == NULL) {
        if (!det_file_exists(pattern))
            return det_fail(env, DET_STATUS_NOT_FOUND, "%s: no such file", pattern);
        return det_path_list_add(env, list, pattern);
    }
    glob_t found = {0};
    const int result = glob(pattern, 0, stop_without_memory, &found);
    det_status status = DET_OK;
    if (result == GLOB_NOMATCH)
        status = det_fail(env, DET_STATUS_NOT_FOUND, "%s: no file matches this pattern", pattern);
    else if (result != 0)
        status = det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory to expand this pattern",
                          pattern);
    for (size_t i = 0; status == DET_OK && i < found.gl_pathc; i++)
        status = det_path_list_add(env, list, found.gl_pathv[i]);
    globfree(&found);
    return status;
}
