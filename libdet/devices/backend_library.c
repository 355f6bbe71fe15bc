#include "devices/backend_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/library.h"

static bool is_of_this_build(void *library, char *why, size_t bytes)
{
    const struct det_backend_library *found = dlsym(library, DET_BACKEND_LIBRARY);
    if (found == NULL)
        snprintf(why, bytes, "is no backend of libdet: it has no %s", DET_BACKEND_LIBRARY);
    else if (strcmp(found->build, det_build) != 0)
        snprintf(why, bytes, "is of libdet %s, this is %s", found->build, det_build);
    else
        return true;
    return false;
}

det_status det_backend_library_open(struct det_env *env, const char *name, const char *variable,
                                    const struct det_backend **backend)
{
    struct det_library_search s = {.name = name, .accept = is_of_this_build};
    det_status status;
    *backend = NULL;
    DET_TRY(det_library_try_variable(env, &s, variable));
    DET_TRY(det_library_try_own_folders(env, &s));
    DET_TRY(det_library_try_folder(env, &s, det_build_folder));
    DET_TRY(det_library_try_loader(env, &s));
    DET_TRY(det_library_found(env, &s));
    const struct det_backend_library *found = dlsym(s.library, DET_BACKEND_LIBRARY);
    *backend = found->backend;
fail:
    det_library_search_end(env, &s);
    return status;
}
