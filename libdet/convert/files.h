/* files.h: the files of a data set: on disk, in a zip archive that is read where it is, or in
 * memory under a name. A path below an archive begins with the archive's own:
 * "export.zip/train/a.jpg". Nothing outside an archive is reached through such a path: ".." ends at
 * its root.
 *
 * What systems leave beside files is never listed: names that begin with "." (macOS's "._a.jpg",
 * .DS_Store, .ipynb_checkpoints), __MACOSX, Thumbs.db and desktop.ini. */
#ifndef DET_CONVERT_FILES_H
#define DET_CONVERT_FILES_H

#include "support/id_map.h"
#include "support/io.h"

struct det_files {
    struct det_memory_file *memory;
    size_t memory_count, memory_capacity;
    struct det_mounted_archive *archives;
    size_t archive_count, archive_capacity;
    /* folders that were searched for an image by its stem */
    struct det_folder_listing *listings;
    size_t listing_count, listing_capacity;
    struct det_id_map listing_map;
};
void det_files_close(struct det_env *env, struct det_files *files);

/* From now on `path` is a file of these bytes, which are copied; in place of one that is called so
 * on disk or was in memory before, whose bytes stay all the same. */
det_status det_files_add_memory(struct det_env *env, struct det_files *files, const char *path,
                                const void *data, size_t bytes);
/* The one that was added last is forgotten. */
void det_files_drop_memory(struct det_env *env, struct det_files *files);

/* By its name: "x.zip". */
bool det_files_is_archive(const char *path);
/* From now on the archive is a folder. Entries that lead out of it, or two with one name, are
 * CORRUPT. */
det_status det_files_mount(struct det_env *env, struct det_files *files, const char *path);
/* The archive that a path leads into, NULL: none. */
const char *det_files_archive_of(const struct det_files *files, const char *path);
/* Whether a path is one of the disk, which other readers than det_files_open() take, too. */
bool det_files_is_on_disk(const struct det_files *files, const char *path);

/* Of a file or folder. */
bool det_files_exists(const struct det_files *files, const char *path);
bool det_files_is_directory(const struct det_files *files, const char *path);
/* Full paths, sorted, junk left out. */
det_status det_files_list(struct det_env *env, const struct det_files *files, const char *directory,
                          struct det_path_list *list);
/* Calls `visit` for each file in a folder, then for those in the folders in it, `depth` levels in
 * all. A folder that links lead to several times is gone through once. */
typedef det_status (*det_file_visitor)(struct det_env *env, void *user, const char *path);
det_status det_files_walk(struct det_env *env, const struct det_files *files, const char *directory,
                          int depth, det_file_visitor visit, void *user);
/* Whether a name in a listing is one of those that are left out. */
bool det_files_is_junk(const char *name);

/* The image in a folder that is called STEM with the extension of an image; *path: NULL when there
 * is none, the first of several. The caller frees. */
det_status det_files_find_stem(struct det_env *env, struct det_files *files, const char *directory,
                               const char *stem, char **path);

/* For det_files_close(): what was listed for that. */
void det_files_forget_listings(struct det_env *env, struct det_files *files);

/* The bytes of a file. Several threads may open at once. */
struct det_source_bytes {
    struct det_file_bytes contents;
    uint8_t *own; /* of an archive's entry or a record; NULL: lent, or of `contents` */
    const uint8_t *data;
    size_t bytes;
};
det_status det_files_open(struct det_env *env, const struct det_files *files, const char *path,
                          struct det_source_bytes *source);
void det_source_bytes_close(struct det_env *env, struct det_source_bytes *source);

#endif
