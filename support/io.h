/* io.h: files and folders. Reading copies, writing (writer.h) replaces a file whole. */
#ifndef DET_SUPPORT_IO_H
#define DET_SUPPORT_IO_H

#include "support/path.h"
#include "support/writer.h"

/* The content of a whole file. data is never NULL (an empty file has bytes == 0), and zeros lie
 * behind it up to the next multiple of DET_ALIGNMENT. Copied, not mapped: whoever truncates a
 * mapped file or writes to it in place ends the process or changes what was checked, and copying is
 * as fast for what is read once. */
struct det_file_bytes {
    const uint8_t *data;
    size_t bytes;
    det_allocator allocator; /* that gave data; unset when there is none */
};

/* Regular files only: a FIFO or a device would wait for somebody. */
det_status det_file_read(struct det_env *env, const char *path, struct det_file_bytes *contents);
/* The same of what is in memory: a copy, so that the caller's may go. `name` stands for the path in
 * messages. */
det_status det_file_copy(struct det_env *env, const char *name, const void *data, size_t bytes,
                         struct det_file_bytes *contents);
void det_file_release(struct det_file_bytes *contents);

/* A file of which only parts are wanted at a time, however large it is. */
struct det_file {
    int descriptor; /* -1 when closed */
    uint64_t bytes; /* when it was opened */
};

/* Regular files only. `path` is needed for messages again. */
det_status det_file_open(struct det_env *env, const char *path, struct det_file *file);
/* `bytes` bytes at `offset`, both inside the file; IO when it has become shorter. From several
 * threads at once, if need be. */
det_status det_file_read_at(struct det_env *env, const char *path, const struct det_file *file,
                            uint64_t offset, void *to, size_t bytes);
void det_file_close(struct det_file *file);

bool det_file_exists(const char *path);
bool det_is_directory(const char *path);
/* Both are there and are one file, by whatever names. */
bool det_same_file(const char *a, const char *b);
/* mkdir -p. */
det_status det_make_directories(struct det_env *env, const char *path);

/* Renames a file to PATH.old, PATH.old-2, ...: the first name that is free. *kept, which the caller
 * frees, is NULL when the file was not there any more. */
det_status det_keep_old_file(struct det_env *env, const char *path, char **kept);

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

/* Appends the files that a glob pattern (*, ?, [..]) names, sorted; a pattern without magic names
 * itself. No match is NOT_FOUND naming the pattern. */
det_status det_glob(struct det_env *env, const char *pattern, struct det_path_list *list);

#endif
