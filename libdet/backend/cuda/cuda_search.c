#include "backend/cuda/cuda_search.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/text.h"

struct search {
    const char *name;
    void *library;
    struct det_text searched; /* for the message */
    char broken[256];         /* why the first file that is there was not loaded */
};

static det_status note(struct det_env *env, struct search *s, const char *place)
{
    return det_text_printf(env, &s->searched, "%s%s", s->searched.length > 0 ? ", " : "", place);
}

static void try_file(struct search *s, const char *path)
{
    s->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const char *why = s->library == NULL ? dlerror() : NULL;
    if (why != NULL && s->broken[0] == '\0')
        snprintf(s->broken, sizeof s->broken, "%s", why);
}

/* `pattern` of folders, as det_glob() has it. */
static det_status try_folders(struct det_env *env, struct search *s, const char *pattern)
{
    struct det_path_list found = {0};
    char *files = NULL;
    det_status status = DET_OK;
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

static det_status try_own(struct det_env *env, struct search *s)
{
    const char *at = getenv("DET_CUDA_LIBRARIES");
    if (at == NULL || at[0] == '\0')
        return note(env, s, "DET_CUDA_LIBRARIES (not set)");
    while (s->library == NULL && *at != '\0') {
        char folder[1024];
        const size_t length = strcspn(at, ":");
        if (length >= sizeof folder)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "DET_CUDA_LIBRARIES: a folder of %zu characters", length);
        snprintf(folder, sizeof folder, "%.*s", (int)length, at);
        if (length > 0)
            DET_TRY_RETURN(try_folders(env, s, folder));
        at += length + (at[length] == ':');
    }
    return DET_OK;
}

static det_status try_loader(struct det_env *env, struct search *s)
{
    char absent[300];
    s->library = dlopen(s->name, RTLD_NOW | RTLD_LOCAL);
    const char *why = s->library == NULL ? dlerror() : NULL;
    snprintf(absent, sizeof absent, "%s: cannot open shared object file", s->name);
    if (why != NULL && strncmp(why, absent, strlen(absent)) != 0 && s->broken[0] == '\0')
        snprintf(s->broken, sizeof s->broken, "%s", why);
    return note(env, s, "the loader's folders (LD_LIBRARY_PATH, ld.so.cache)");
}

static det_status try_usual(struct det_env *env, struct search *s)
{
    static const struct {
        const char *variable; /* of the environment; NULL: the folder is absolute */
        const char *folders;
    } places[] = {
        {"VIRTUAL_ENV", "/lib/python3*/site-packages/nvidia/*/lib"},
        {"CONDA_PREFIX", "/lib/python3*/site-packages/nvidia/*/lib"},
        {"HOME", "/.local/lib/python3*/site-packages/nvidia/*/lib"},
        {NULL, "/usr/local/lib/python3*/*-packages/nvidia/*/lib"},
        {NULL, "/usr/lib/python3*/*-packages/nvidia/*/lib"},
        {NULL, "/usr/local/cuda/lib64"},
    };
    for (size_t i = 0; s->library == NULL && i < sizeof places / sizeof *places; i++) {
        const char *root = places[i].variable != NULL ? getenv(places[i].variable) : "";
        char *pattern = NULL;
        if (root == NULL || (places[i].variable != NULL && root[0] == '\0'))
            continue;
        DET_TRY_RETURN(det_format(env, &pattern, "%s%s", root, places[i].folders));
        const det_status status = try_folders(env, s, pattern);
        det_free(env, &pattern);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}

static det_status look_for(struct det_env *env, struct search *s)
{
    DET_TRY_RETURN(try_own(env, s));
    if (s->library == NULL)
        DET_TRY_RETURN(try_loader(env, s));
    if (s->library == NULL)
        DET_TRY_RETURN(try_usual(env, s));
    if (s->library != NULL)
        return DET_OK;
    return det_fail(env, DET_STATUS_DEVICE, "%s %s%s; searched: %s", s->name,
                    s->broken[0] != '\0' ? "could not be loaded: " : "was not found", s->broken,
                    s->searched.data);
}

det_status det_cuda_library_open(struct det_env *env, const char *name, void **library)
{
    struct search s = {.name = name};
    const det_status status = look_for(env, &s);
    det_text_free(env, &s.searched);
    *library = status == DET_OK ? s.library : NULL;
    return status;
}
