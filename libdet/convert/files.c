#include "convert/files.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "convert/zip.h"
#include "support/mem.h"

enum { MOST_PATH = 4096 };

struct entry {
    char *name; /* without "./", with "/" */
    size_t number;
};

struct det_memory_file {
    char *path;
    uint8_t *data;
    size_t bytes;
};

struct det_mounted_archive {
    char *path;
    struct det_zip *zip;
    struct entry *entries; /* files, sorted by name */
    size_t count;
};

/* --- names --- */

bool det_files_is_junk(const char *name)
{
    return name[0] == '.' || strcmp(name, "__MACOSX") == 0 || strcasecmp(name, "Thumbs.db") == 0 ||
           strcasecmp(name, "desktop.ini") == 0;
}

bool det_files_is_archive(const char *path)
{
    const size_t length = strlen(path);
    return length > 4 && strcasecmp(path + length - 4, ".zip") == 0;
}

/* Takes "", "." and ".." out of a relative path. False: it leads above its root, or is too long. */
static bool normalise(const char *path, char out[MOST_PATH])
{
    size_t used = 0;
    while (*path != '\0') {
        const size_t length = strcspn(path, "/");
        if (length == 2 && memcmp(path, "..", 2) == 0) {
            if (used == 0)
                return false;
            while (used > 0 && out[used - 1] != '/')
                used--;
            used -= used > 0;
        } else if (length > 0 && !(length == 1 && path[0] == '.')) {
            if (used + length + 2 > MOST_PATH)
                return false;
            if (used > 0)
                out[used++] = '/';
            memcpy(out + used, path, length);
            used += length;
        }
        path += length + (path[length] == '/');
    }
    out[used] = '\0';
    return true;
}

/* --- memory --- */

static void free_memory(struct det_env *env, struct det_memory_file *file)
{
    det_free(env, &file->path);
    det_free(env, &file->data);
}

det_status det_files_add_memory(struct det_env *env, struct det_files *files, const char *path,
                                const void *data, size_t bytes)
{
    struct det_memory_file file = {.bytes = bytes};
    det_status status = DET_OK;
    DET_TRY(det_strdup(env, &file.path, path));
    DET_TRY(det_alloc_raw(env, &file.data, bytes, 1, "file in memory"));
    if (bytes > 0)
        memcpy(file.data, data, bytes);
    DET_TRY(det_grow(env, &files->memory, &files->memory_capacity, files->memory_count + 1,
                     sizeof *files->memory, "files in memory"));
    files->memory[files->memory_count++] = file;
    return DET_OK;
fail:
    free_memory(env, &file);
    return status;
}

void det_files_drop_memory(struct det_env *env, struct det_files *files)
{
    free_memory(env, &files->memory[--files->memory_count]);
}

static const struct det_memory_file *find_memory(const struct det_files *files, const char *path)
{
    for (size_t i = files != NULL ? files->memory_count : 0; i-- > 0;)
        if (strcmp(files->memory[i].path, path) == 0)
            return &files->memory[i];
    return NULL;
}

/* --- archives --- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static bool holds_junk(const char *name)
{
    char part[MOST_PATH];
    for (const char *at = name; *at != '\0';) {
        const size_t length = strcspn(at, "/");
        memcpy(part, at, length);
        part[length] = '\0';
        if (det_files_is_junk(part))
            return true;
        at += length + (at[length] == '/');
    }
    return false;
}

/* One entry as a name of the index; an empty one is not kept. */
static det_status entry_name(struct det_env *env, const struct det_mounted_archive *mounted,
                             const char *stored, char **name)
{
    char with_slashes[MOST_PATH], inner[MOST_PATH];
    const size_t length = strlen(stored);
    *name = NULL;
    if (length >= sizeof with_slashes)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: an entry's name has %zu bytes", mounted->path,
                        length);
    memcpy(with_slashes, stored, length + 1);
    det_path_use_slashes(with_slashes); /* some archivers write Windows' */
    if (with_slashes[0] == '/' || !normalise(with_slashes, inner))
        return det_fail(env, DET_STATUS_CORRUPT, "%s: entry `%.200s` leads out of the archive",
                        mounted->path, stored);
    if (length == 0 || with_slashes[length - 1] == '/' || inner[0] == '\0' || holds_junk(inner))
        return DET_OK;
    return det_strdup(env, name, inner);
}

static det_status read_index(struct det_env *env, struct det_mounted_archive *mounted)
{
    const size_t count = det_zip_count(mounted->zip);
    DET_TRY_RETURN(det_alloc(env, &mounted->entries, count, sizeof *mounted->entries, "archive"));
    for (size_t i = 0; i < count; i++) {
        char *name = NULL;
        DET_TRY_RETURN(entry_name(env, mounted, det_zip_name(mounted->zip, i), &name));
        if (name != NULL)
            mounted->entries[mounted->count++] = (struct entry){name, i};
    }
    if (mounted->count > 0)
        qsort(mounted->entries, mounted->count, sizeof *mounted->entries, by_name);
    for (size_t i = 1; i < mounted->count; i++)
        if (strcmp(mounted->entries[i - 1].name, mounted->entries[i].name) == 0)
            return det_fail(env, DET_STATUS_CORRUPT, "%s: two entries are called `%.200s`",
                            mounted->path, mounted->entries[i].name);
    return DET_OK;
}

static void unmount(struct det_env *env, struct det_mounted_archive *mounted)
{
    for (size_t i = 0; i < mounted->count; i++)
        det_free(env, &mounted->entries[i].name);
    det_free(env, &mounted->entries);
    det_free(env, &mounted->path);
    det_zip_close(env, &mounted->zip);
}

det_status det_files_mount(struct det_env *env, struct det_files *files, const char *path)
{
    struct det_mounted_archive mounted = {0};
    det_status status = DET_OK;
    const char *present = det_files_archive_of(files, path);
    if (present != NULL && strcmp(present, path) == 0)
        return DET_OK;
    const struct det_memory_file *memory = find_memory(files, path);
    DET_TRY(det_strdup(env, &mounted.path, path));
    DET_TRY(det_zip_open(env, path, memory != NULL ? memory->data : NULL,
                         memory != NULL ? memory->bytes : 0, &mounted.zip));
    DET_TRY(read_index(env, &mounted));
    DET_TRY(det_grow(env, &files->archives, &files->archive_capacity, files->archive_count + 1,
                     sizeof *files->archives, "archives"));
    files->archives[files->archive_count++] = mounted;
    return DET_OK;
fail:
    unmount(env, &mounted);
    return status;
}

void det_files_close(struct det_env *env, struct det_files *files)
{
    for (size_t i = 0; i < files->archive_count; i++)
        unmount(env, &files->archives[i]);
    det_free(env, &files->archives);
    while (files->memory_count > 0) /* what archives are in, too */
        det_files_drop_memory(env, files);
    det_free(env, &files->memory);
    det_files_forget_listings(env, files);
    *files = (struct det_files){0};
}

/* The archive of a path, NULL: on disk; *inner: the path in it, NULL where it leads out. */
static const struct det_mounted_archive *mounted_at(const struct det_files *files, const char *path,
                                                    char buffer[MOST_PATH], const char **inner)
{
    for (size_t i = 0; files != NULL && i < files->archive_count; i++) {
        const struct det_mounted_archive *mounted = &files->archives[i];
        const char *below = det_path_below(path, mounted->path);
        if (below == NULL)
            continue;
        *inner = normalise(below, buffer) ? buffer : NULL;
        return mounted;
    }
    return NULL;
}

const char *det_files_archive_of(const struct det_files *files, const char *path)
{
    char buffer[MOST_PATH];
    const char *inner = NULL;
    const struct det_mounted_archive *mounted = mounted_at(files, path, buffer, &inner);
    return mounted != NULL ? mounted->path : NULL;
}

bool det_files_is_on_disk(const struct det_files *files, const char *path)
{
    return det_files_archive_of(files, path) == NULL && find_memory(files, path) == NULL;
}

/* The first entry that is not below `name`. */
static size_t lower_bound(const struct det_mounted_archive *mounted, const char *name)
{
    size_t low = 0, high = mounted->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strcmp(mounted->entries[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct entry *find_entry(const struct det_mounted_archive *mounted, const char *inner)
{
    const size_t at = lower_bound(mounted, inner);
    return at < mounted->count && strcmp(mounted->entries[at].name, inner) == 0
               ? &mounted->entries[at]
               : NULL;
}

/* What the names of the files below a folder begin with. */
static void folder_prefix(const char *inner, char prefix[MOST_PATH + 1])
{
    const size_t length = strlen(inner);
    memcpy(prefix, inner, length + 1);
    if (length > 0) {
        prefix[length] = '/';
        prefix[length + 1] = '\0';
    }
}

static bool is_folder(const struct det_mounted_archive *mounted, const char *inner)
{
    char prefix[MOST_PATH + 1];
    if (inner[0] == '\0')
        return true;
    folder_prefix(inner, prefix);
    const size_t at = lower_bound(mounted, prefix);
    return at < mounted->count && strncmp(mounted->entries[at].name, prefix, strlen(prefix)) == 0;
}

/* --- files and folders --- */

bool det_files_exists(const struct det_files *files, const char *path)
{
    char buffer[MOST_PATH];
    const char *inner = NULL;
    const struct det_mounted_archive *mounted = mounted_at(files, path, buffer, &inner);
    if (mounted == NULL)
        return find_memory(files, path) != NULL || det_file_exists(path);
    return inner != NULL && (find_entry(mounted, inner) != NULL || is_folder(mounted, inner));
}

bool det_files_is_directory(const struct det_files *files, const char *path)
{
    char buffer[MOST_PATH];
    const char *inner = NULL;
    const struct det_mounted_archive *mounted = mounted_at(files, path, buffer, &inner);
    if (mounted == NULL)
        return find_memory(files, path) == NULL && det_is_directory(path);
    return inner != NULL && is_folder(mounted, inner);
}

static det_status list_archive(struct det_env *env, const struct det_mounted_archive *mounted,
                               const char *inner, const char *directory, struct det_path_list *list)
{
    char prefix[MOST_PATH + 1];
    folder_prefix(inner, prefix);
    const size_t length = strlen(prefix);
    const char *last = "";
    size_t last_length = 0;
    for (size_t i = lower_bound(mounted, prefix); i < mounted->count; i++) {
        const char *name = mounted->entries[i].name;
        if (strncmp(name, prefix, length) != 0)
            break;
        name += length;
        const size_t part = strcspn(name, "/");
        if (part == last_length && memcmp(name, last, part) == 0)
            continue; /* another file of the same folder */
        last = name;
        last_length = part;
        char *path = NULL;
        DET_TRY_RETURN(det_path_join_printf(env, &path, directory, "%.*s", (int)part, name));
        const det_status status = det_path_list_add(env, list, path);
        det_free(env, &path);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

det_status det_files_list(struct det_env *env, const struct det_files *files, const char *directory,
                          struct det_path_list *list)
{
    char buffer[MOST_PATH];
    const char *inner = NULL;
    const struct det_mounted_archive *mounted = mounted_at(files, directory, buffer, &inner);
    const size_t first = list->count;
    if (mounted != NULL) {
        if (inner == NULL || !is_folder(mounted, inner))
            return det_fail(env, DET_STATUS_NOT_FOUND, "%s: there is no such folder", directory);
        DET_TRY_RETURN(list_archive(env, mounted, inner, directory, list));
        if (list->count > first)
            qsort(list->paths + first, list->count - first, sizeof *list->paths, compare_paths);
        return DET_OK;
    }
    DET_TRY_RETURN(det_list_directory(env, directory, list));
    size_t kept = first;
    for (size_t i = first; i < list->count; i++) {
        if (det_files_is_junk(det_path_name(list->paths[i])))
            det_free(env, &list->paths[i]);
        else
            list->paths[kept++] = list->paths[i];
    }
    list->count = kept;
    return DET_OK;
}

struct walk {
    const struct det_files *files;
    det_file_visitor visit;
    void *user;
    struct det_id_map seen; /* folders on disk */
};

/* True for the first call with a folder, under whatever name. */
static det_status is_new_folder(struct det_env *env, struct walk *w, const char *directory,
                                bool *is_new)
{
    struct stat info;
    uint32_t other = 0;
    *is_new = true;
    if (det_files_archive_of(w->files, directory) != NULL || stat(directory, &info) != 0)
        return DET_OK;
    const uint64_t id = (uint64_t)info.st_dev * 0x9e3779b97f4a7c15U ^ (uint64_t)info.st_ino;
    *is_new = !det_id_map_find(&w->seen, (int64_t)id, &other);
    return *is_new ? det_id_map_add(env, &w->seen, (int64_t)id, 0) : DET_OK;
}

static det_status walk(struct det_env *env, struct walk *w, const char *directory, int depth)
{
    struct det_path_list entries = {0};
    bool is_new = false;
    det_status status = DET_OK;
    DET_TRY(is_new_folder(env, w, directory, &is_new));
    if (!is_new)
        return DET_OK;
    DET_TRY(det_files_list(env, w->files, directory, &entries));
    for (size_t i = 0; i < entries.count; i++)
        if (!det_files_is_directory(w->files, entries.paths[i]))
            DET_TRY(w->visit(env, w->user, entries.paths[i]));
    for (size_t i = 0; i < entries.count && depth > 1; i++)
        if (det_files_is_directory(w->files, entries.paths[i]))
            DET_TRY(walk(env, w, entries.paths[i], depth - 1));
fail:
    det_path_list_free(env, &entries);
    return status;
}

det_status det_files_walk(struct det_env *env, const struct det_files *files, const char *directory,
                          int depth, det_file_visitor visit, void *user)
{
    struct walk w = {.files = files, .visit = visit, .user = user};
    const det_status status = walk(env, &w, directory, depth);
    det_id_map_free(env, &w.seen);
    return status;
}

/* --- bytes --- */

det_status det_files_open(struct det_env *env, const struct det_files *files, const char *path,
                          struct det_source_bytes *source)
{
    char buffer[MOST_PATH];
    const char *inner = NULL;
    const struct det_mounted_archive *mounted = mounted_at(files, path, buffer, &inner);
    *source = (struct det_source_bytes){0};
    const struct det_memory_file *memory = mounted == NULL ? find_memory(files, path) : NULL;
    if (memory != NULL) {
        source->data = memory->data;
        source->bytes = memory->bytes;
        return DET_OK;
    }
    if (mounted == NULL) {
        DET_TRY_RETURN(det_file_read(env, path, &source->contents));
        source->data = source->contents.data;
        source->bytes = source->contents.bytes;
        return DET_OK;
    }
    const struct entry *entry = inner != NULL ? find_entry(mounted, inner) : NULL;
    if (entry == NULL)
        return det_fail(env, DET_STATUS_NOT_FOUND, "%s: there is no such file", path);
    const struct det_budget before = det_budget_open(env, path);
    const det_status status =
        det_zip_read(env, mounted->zip, entry->number, path, &source->own, &source->bytes);
    det_budget_close(env, before);
    source->data = source->own;
    return status;
}

void det_source_bytes_close(struct det_env *env, struct det_source_bytes *source)
{
    if (source->contents.data != NULL)
        det_file_release(&source->contents);
    det_free(env, &source->own);
    *source = (struct det_source_bytes){0};
}
