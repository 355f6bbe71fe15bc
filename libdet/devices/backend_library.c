#include "devices/backend_library.h"

#include "base/own_library.h"

det_status det_backend_library_open(struct det_env *env, const char *name, const char *variable,
                                    const struct det_backend **backend)
{
    const struct det_own_library wanted = {
        .name = name, .variable = variable, .symbol = DET_BACKEND_LIBRARY, .kind = "backend"};
    const void *content = NULL;
    *backend = NULL;
    DET_TRY_RETURN(det_own_library_open(env, &wanted, &content));
    const struct det_backend_library *found = content;
    *backend = found->backend;
    return DET_OK;
}
