#define _GNU_SOURCE /* secure_getenv, dlinfo */
#include "base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/build.h"
#include "support/io.h"
#include "support/mem.h"

static det_status note(struct det_env *env, struct det_library_search *s, const char *place)
{
    return det_text_printf(env, &s->searched, "%s%s", s->searched.length > 0 ? ", " : "", place);
}

/* Whether `place` is among what was searched. */
static bool noted(const struct det_library_search *s, const char *place)
{
    const size_t length = strlen(place);
    const char *at = s->searched.data;
    while (at != NULL && (at = strstr(at, place)) != NULL) {
        if ((at == s->searched.data || at[-1] == ' ') && (at[length] == ',' || at[length] == '\0'))
            return true;
        at += length;
    }
    return false;
}

static void refuse(struct det_library_search *s, const char *why)
{
    if (s->broken[0] == '\0')
        snprintf(s->broken, sizeof s->broken, "%s", why);
}

/* Its file as the loader knows it, which need not be what it was asked for. */
static const char *file_of(const struct det_library_search *s, void *library)
{
    struct link_map *map = NULL;
    return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0] != '\0' ? map->l_name
                                                                                 : s->name;
}

static bool will_do(const struct det_library_search *s, void *library, char *why, size_t bytes)
{
    if (s->symbol == NULL)
        return true;
    const char *const *build = dlsym(library, s->symbol);
    if (build == NULL)
        snprintf(why, bytes, "is no %s of libdet: it has no %s", s->kind, s->symbol);
    else if (strcmp(*build, det_build) != 0)
        snprintf(why, bytes, "is of libdet %s, this is %s", *build, det_build);
    else
        return true;
    return false;
}

/* A file or a name that the loader searches for. NULL or what dlerror() says. */
static const char *try_to_load(struct det_library_search *s, const char *file)
{
    char why[sizeof s->broken / 2], sentence[sizeof s->broken];
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return dlerror();
    if (will_do(s, library, why, sizeof why)) {
        s->library = library;
        return NULL;
    }
    snprintf(sentence, sizeof sentence, "%s %s", file_of(s, library), why);
    refuse(s, sentence);
    dlclose(library);
    return NULL;
}

static void try_file(struct det_library_search *s, const char *path)
{
    const char *why = try_to_load(s, path);
    if (why != NULL)
        refuse(s, why);
}

det_status det_library_try_folder(struct det_env *env, struct det_library_search *s,
                                  const char *folder)
{
    char *path = NULL;
    if (s->library != NULL || noted(s, folder))
        return DET_OK;
    DET_TRY_RETURN(note(env, s, folder));
    DET_TRY_RETURN(det_path_join(env, &path, folder, s->name));
    if (det_file_exists(path))
        try_file(s, path);
    det_free(env, &path);
    return DET_OK;
}

det_status det_library_try_folders(struct det_env *env, struct det_library_search *s,
                                   const char *pattern)
{
    struct det_path_list found = {0};
    char *files = NULL;
    det_status status = DET_OK;
    if (s->library != NULL)
        return DET_OK;
    DET_TRY(note(env, s, pattern));
    DET_TRY(det_path_join(env, &files, pattern, s->name));
    DET_TRY(det_forgive(env, det_glob(env, files, &found), DET_STATUS_NOT_FOUND));
    for (size_t i = 0; s->library == NULL && i < found.count; i++)
        try_file(s, found.paths[i]);
fail:
    det_path_list_free(env, &found);
    det_free(env, &files);
    return status;
}

det_status det_library_try_variable(struct det_env *env, struct det_library_search *s,
                                    const char *variable)
{
    const char *at = secure_getenv(variable);
    char text[PATH_MAX];
    if (s->library != NULL)
        return DET_OK;
    if (at == NULL || at[0] == '\0') {
        snprintf(text, sizeof text, "%s (not set)", variable);
        return note(env, s, text);
    }
    while (s->library == NULL && *at != '\0') {
        const size_t length = strcspn(at, ":");
        if (length >= sizeof text)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: a folder of %zu characters",
                            variable, length);
        snprintf(text, sizeof text, "%.*s", (int)length, at);
        if (length > 0)
            DET_TRY_RETURN(det_library_try_folders(env, s, text));
        at += length + (at[length] == ':');
    }
    return DET_OK;
}

det_status det_library_try_loader(struct det_env *env, struct det_library_search *s)
{
    char absent[300];
    if (s->library != NULL)
        return DET_OK;
    const char *why = try_to_load(s, s->name);
    snprintf(absent, sizeof absent, "%s: cannot open shared object file", s->name);
    if (why != NULL && strncmp(why, absent, strlen(absent)) != 0)
        refuse(s, why);
    return note(env, s, "the loader's folders (LD_LIBRARY_PATH, ld.so.cache)");
}

/* The file that this code was mapped from, as the kernel has it: absolute, and no matter what the
 * program was called or how its libraries were found. False where there is no /proc. */
static bool find_own_file(char path[PATH_MAX])
{
    const uintptr_t here = (uintptr_t)det_build;
    char line[PATH_MAX]; /* one that is longer names no path that could be opened */
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t first, end;
        char *slash = strchr(line, '/');
        line[strcspn(line, "\n")] = '\0';
        found = slash != NULL && sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &first, &end) == 2 &&
                here >= first && here < end;
        if (found)
            memcpy(path, slash, strlen(slash) + 1);
    }
    if (maps != NULL)
        fclose(maps);
    return found;
}

det_status det_library_try_own_folders(struct det_env *env, struct det_library_search *s)
{
    char path[PATH_MAX];
    char *folder = NULL, *prefix = NULL, *libraries = NULL;
    det_status status = DET_OK;
    if (s->library != NULL || !find_own_file(path))
        return DET_OK;
    DET_TRY(det_path_directory(env, &folder, path));
    DET_TRY(det_path_join(env, &libraries, folder, "libdet"));
    DET_TRY(det_library_try_folder(env, s, libraries));
    det_free(env, &libraries);
    DET_TRY(det_path_directory(env, &prefix, folder));
    DET_TRY(det_path_join(env, &libraries, prefix, "lib/libdet"));
    DET_TRY(det_library_try_folder(env, s, libraries));
fail:
    det_free(env, &folder);
    det_free(env, &prefix);
    det_free(env, &libraries);
    return status;
}

det_status det_library_found(struct det_env *env, const struct det_library_search *s)
{
    if (s->library != NULL)
        return DET_OK;
    return det_fail(env, DET_STATUS_DEVICE, "%s %s%s; searched: %s", s->name,
                    s->broken[0] != '\0' ? "could not be loaded: " : "was not found", s->broken,
                    s->searched.data);
}

void det_library_search_end(struct det_env *env, struct det_library_search *s)
{
    det_text_free(env, &s->searched);
}

/* --- a library that only some files need --- */

det_status det_library_load(struct det_env *env, const char *what, const char *const *names,
                            const char *install, void **library)
{
    char why[DET_ERROR_BYTES / 2] = "";
    *library = NULL;
    for (size_t i = 0; names[i] != NULL; i++) {
        errno = 0;
        *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (*library != NULL)
            return DET_OK;
        if (errno == ENOMEM)
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: %s", what, dlerror());
        if (i == 0)
            snprintf(why, sizeof why, "%s", dlerror());
    }
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s; install %s", what, why, install);
}

bool det_library_is_there(const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++) {
        void *library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
        if (library != NULL) {
            dlclose(library);
            return true;
        }
    }
    return false;
}

det_status det_library_function(struct det_env *env, const char *what, void *library,
                                const char *symbol, det_any_function *function)
{
    /* POSIX has functions and objects share a representation. */
    const union {
        void *object;
        det_any_function function;
    } found = {dlsym(library, symbol)};
    *function = found.function;
    return found.object != NULL ? DET_OK
                                : det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s", what, dlerror());
}
