#include "devices/cuda/cuda_search.h"

#include <stdlib.h>

#include "base/library.h"
#include "support/mem.h"

static det_status try_usual(struct det_env *env, struct det_library_search *s)
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
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *root = places[i].variable != NULL ? getenv(places[i].variable) : "";
        char *pattern = NULL;
        if (root == NULL || (places[i].variable != NULL && root[0] == '\0'))
            continue;
        DET_TRY_RETURN(det_format(env, &pattern, "%s%s", root, places[i].folders));
        const det_status status = det_library_try_folders(env, s, pattern);
        det_free(env, &pattern);
        DET_TRY_RETURN(status);
    }
    return DET_OK;
}

det_status det_cuda_library_open(struct det_env *env, const char *name, void **library)
{
    struct det_library_search s = {.name = name};
    det_status status;
    DET_TRY(det_library_try_variable(env, &s, "DET_CUDA_LIBRARIES"));
    DET_TRY(det_library_try_loader(env, &s));
    DET_TRY(try_usual(env, &s));
    DET_TRY(det_library_found(env, &s));
fail:
    det_library_search_end(env, &s);
    *library = s.library;
    return status;
}
