#include "base/own_library.h"

#include <dlfcn.h>

#include "base/build.h"
#include "base/library.h"

det_status det_own_library_open(struct det_env *env, const struct det_own_library *wanted,
                                const void **content)
{
    struct det_library_search s = {
        .name = wanted->name, .symbol = wanted->symbol, .kind = wanted->kind};
    det_status status;
    *content = NULL;
    DET_TRY(det_library_try_variable(env, &s, wanted->variable));
    DET_TRY(det_library_try_own_folders(env, &s));
    DET_TRY(det_library_try_folder(env, &s, det_build_folder));
    DET_TRY(det_library_try_loader(env, &s));
    DET_TRY(det_library_found(env, &s));
    *content = dlsym(s.library, wanted->symbol);
fail:
    det_library_search_end(env, &s);
    return status;
}
