/* io.h: files. Reading copies, writing is atomic: a reader never sees half a file, a full disk never costs the old one. */
#ifndef DET_BASE_IO_H
#define DET_BASE_IO_H

#include "base/env.h"

/* A whole file in memory. data is never NULL (an empty file has bytes == 0), and zeros lie behind it up to the next
 * multiple of DET_ALIGNMENT. Copied, not mapped: whoever truncates a mapped file or writes to it in place ends the
 * process or changes what was checked, and copying is as fast for what is read once. */
struct det_file_map {
    const uint8_t *data;
    size_t bytes;
    det_allocator allocator; /* that gave data; unset when there is none */
};

/* Regular files only: a FIFO or a device would wait for somebody. */
det_status det_file_map_open(struct det_env *env, const char *path, struct det_file_map *map);
void det_file_map_close(struct det_file_map *map);

/* A file of which only parts are wanted at a time, however large it is. */
struct det_file {
    int descriptor; /* -1 when closed */
    uint64_t bytes; /* when it was opened */
};

/* Regular files only. `path` is needed for messages again. */
det_status det_file_open(struct det_env *env, const char *path, struct det_file *file);
/* `bytes` bytes at `offset`, both inside the file; IO when it has become shorter. From several threads at once, if need be. */
det_status det_file_read_at(struct det_env *env, const char *path, const struct det_file *file,
                            uint64_t offset, void *to, size_t bytes);
void det_file_close(struct det_file *file);

/* Writes `path` through `path.tmp-PID`: data + fsync, rename, fsync of the folder. Until det_writer_commit() the old
 * file stands; det_writer_discard() (also after a failure) removes the temporary one. */
struct det_writer {
    int descriptor; /* -1 when closed */
    char *path;
    char *temporary_path;
    uint8_t *buffer;
    size_t used;
    uint64_t offset; /* bytes written so far, buffered ones included */
};

det_status det_writer_open(struct det_env *env, const char *path, struct det_writer *writer);
det_status det_writer_write(struct det_env *env, struct det_writer *writer, const void *data,
                            size_t bytes);
det_status det_writer_commit(struct det_env *env, struct det_writer *writer);
void det_writer_discard(struct det_env *env, struct det_writer *writer);

/* All of it at once. */
det_status det_write_file(struct det_env *env, const char *path, const void *data, size_t bytes);

bool det_file_exists(const char *path);
bool det_is_directory(const char *path);
/* mkdir -p. */
det_status det_make_directories(struct det_env *env, const char *path);

/* "a/b" + "c" -> "a/b/c"; an absolute `name` stands alone. Caller frees with det_free. */
det_status det_path_join(struct det_env *env, char **out, const char *directory, const char *name);
/* Folder of a path, "." if it has none. */
det_status det_path_directory(struct det_env *env, char **out, const char *path);
/* Points into `path`. */
const char *det_path_name(const char *path);

/* A list of paths the caller frees. */
struct det_path_list {
    char **paths;
    size_t count;
    size_t capacity;
};
void det_path_list_free(struct det_env *env, struct det_path_list *list);
det_status det_path_list_add(struct det_env *env, struct det_path_list *list, const char *path);

/* Names in a folder (no "." and ".."), sorted bytewise, full paths. */
det_status det_list_directory(struct det_env *env, const char *directory,
                              struct det_path_list *list);

/* Appends the files that a glob pattern (*, ?, [..]) names, sorted; a pattern without magic names itself.
 * No match is NOT_FOUND naming the pattern. */
det_status det_glob(struct det_env *env, const char *pattern, struct det_path_list *list);

#endif
