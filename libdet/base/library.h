/* library.h: shared libraries that are loaded when they are needed, and the places where they are
 * looked for: one after the other, until one holds a file that can be loaded and is not refused.
 *
 *     struct det_library_search s = {.name = "libx.so.1"};
 *     DET_TRY(det_library_try_variable(env, &s, "DET_X_LIBRARIES"));
 *     DET_TRY(det_library_try_loader(env, &s));
 *     DET_TRY(det_library_found(env, &s));
 * fail:
 *     det_library_search_end(env, &s);
 *
 * A name that is tried always has a folder in front or is left to the loader: the current directory
 * is no place. */
#ifndef DET_BASE_LIBRARY_H
#define DET_BASE_LIBRARY_H

#include "support/text.h"

struct det_library_search {
    const char *name; /* of the file */
    /* NULL: whatever can be loaded will do. Else the symbol of a struct that begins with the build
     * (base/build.h) it was linked with, which must be this one; and what to call it ("backend"). */
    const char *symbol, *kind;

    void *library;                    /* NULL until one was found; the caller's then */
    struct det_text searched;         /* for the message */
    char broken[DET_ERROR_BYTES / 2]; /* why the first file that was there would not do */
};

/* Each does nothing when a library was found before; OUT_OF_MEMORY, INVALID_ARGUMENT (a folder that
 * is too long). */

/* The folders that the environment's `variable` names, with ':' between. A program with more rights
 * than who started it (setuid) does not look there. */
det_status det_library_try_variable(struct det_env *env, struct det_library_search *s,
                                    const char *variable);
/* The loader's own search: LD_LIBRARY_PATH, run path, ld.so.cache. */
det_status det_library_try_loader(struct det_env *env, struct det_library_search *s);
/* A folder, as it is called; a second time it is passed over. */
det_status det_library_try_folder(struct det_env *env, struct det_library_search *s,
                                  const char *folder);
/* Folders by a pattern, as det_glob() has it. */
det_status det_library_try_folders(struct det_env *env, struct det_library_search *s,
                                   const char *pattern);
/* `folder`/libdet and `folder`/../lib/libdet, where `folder` holds the file that this code is in:
 * the shared library, or the program that is linked with the static one. */
det_status det_library_try_own_folders(struct det_env *env, struct det_library_search *s);

/* DET_OK when one was found, else DEVICE: what was searched, and why a file that was there would
 * not do. */
det_status det_library_found(struct det_env *env, const struct det_library_search *s);
/* Releases all but the library. */
void det_library_search_end(struct det_env *env, struct det_library_search *s);

/* --- a library that only some files need --- */

/* Loads the first of `names` that the loader finds: the file names of the versions that will do,
 * NULL behind the last. UNSUPPORTED when none is there: the message begins with `what` ("a.zip: a
 * zip archive") and ends with what to `install`. OUT_OF_MEMORY. The caller dlcloses *library. */
det_status det_library_load(struct det_env *env, const char *what, const char *const *names,
                            const char *install, void **library);
/* Whether it would be found. */
bool det_library_is_there(const char *const *names);

typedef void (*det_any_function)(void);

/* A function of it. UNSUPPORTED: it has none of that name. */
det_status det_library_function(struct det_env *env, const char *what, void *library,
                                const char *symbol, det_any_function *function);

#endif
