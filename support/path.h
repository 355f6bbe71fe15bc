/* path.h: paths as text: how they are put together and taken apart. What is behind them in the file
 * system is io.h's; names from data become names of files by safe_name.h. Paths are bytes between
 * "/"; nothing here asks what they lead to. */
#ifndef DET_SUPPORT_PATH_H
#define DET_SUPPORT_PATH_H

#include "support/env.h"

/* "a/b" + "c" -> "a/b/c"; an absolute `name` stands alone. Caller frees with det_free. */
det_status det_path_join(struct det_env *env, char **out, const char *directory, const char *name);
/* The same with a name that is made as by printf. */
det_status det_path_join_printf(struct det_env *env, char **out, const char *directory,
                                const char *format, ...) DET_PRINTF(4, 5);

/* Folder of a path, "." if it has none. */
det_status det_path_directory(struct det_env *env, char **out, const char *path);
/* Behind the last "/": the name of the file. Points into `path`. */
const char *det_path_name(const char *path);
/* Where the part begins that ends before `end`, a place in the path that begins at `first`. */
const char *det_path_part(const char *first, const char *end);
/* Characters of the path without "/" at its end; "/" alone is one. */
size_t det_path_length(const char *path);
/* Characters of a file's name before its extension: all of "name" and of ".name". */
size_t det_path_stem_length(const char *name);

/* What of `path` is below the folder: "c" for "a/b/c" below "a/b", "" for the folder itself, NULL
 * for what is elsewhere. Points into `path`. */
const char *det_path_below(const char *path, const char *folder);
/* A relative path that leads above no folder it is put behind: no part is "..". */
bool det_path_stays_inside(const char *path);
/* Windows' separators become "/". */
void det_path_use_slashes(char *path);

#endif
