#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/build.h"
#include "base/library.h"
#include "ranks/transport.h"

static bool is_of_this_build(void *library, char *why, size_t bytes)
{
    const struct det_transport_library *found = dlsym(library, DET_TRANSPORT_LIBRARY);
    if (found == NULL)
        snprintf(why, bytes, "is no transport of libdet: it has no %s", DET_TRANSPORT_LIBRARY);
    else if (strcmp(found->build, det_build) != 0)
        snprintf(why, bytes, "is of libdet %s, this is %s", found->build, det_build);
    else
        return true;
    return false;
}

det_status det_transport_library_open(struct det_env *env,
                                      const struct det_transport_library **library)
{
    struct det_library_search s = {.name = "det-mpi.so", .accept = is_of_this_build};
    det_status status;
    *library = NULL;
    DET_TRY(det_library_try_variable(env, &s, "DET_MPI_LIBRARIES"));
    DET_TRY(det_library_try_own_folders(env, &s));
    DET_TRY(det_library_try_folder(env, &s, det_build_folder));
    DET_TRY(det_library_try_loader(env, &s));
    DET_TRY(det_library_found(env, &s));
    *library = dlsym(s.library, DET_TRANSPORT_LIBRARY);
fail:
    det_library_search_end(env, &s);
    return status;
}
