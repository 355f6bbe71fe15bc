#include "video/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/build.h"

/* PREFIX of PREFIX/bin/PROGRAM. */
static det_status find_prefix(struct det_env *env, char prefix[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", prefix, PATH_MAX - 1);
    if (length < 0)
        return det_fail_errno(env, errno, "/proc/self/exe");
    prefix[length] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(prefix, '/');
        if (slash != NULL)
            *slash = '\0';
    }
    return DET_OK;
}

det_status plugin_load(struct det_env *env, const char *what, const char *name, const char *symbol,
                       const void **table)
{
    char prefix[PATH_MAX], path[PATH_MAX + 100];
    *table = NULL;
    DET_TRY_RETURN(find_prefix(env, prefix));
    snprintf(path, sizeof path, "%s/lib/libdet/%s.so", prefix, name);
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    const void *found = library != NULL ? dlsym(library, symbol) : NULL;
    if (found == NULL) /* dlerror() names the file */
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s", what, dlerror());
    const char *build = *(const char *const *)found;
    if (strcmp(build, det_build) != 0) {
        dlclose(library);
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s is of libdet %s, this is %s", what,
                        path, build, det_build);
    }
    *table = found;
    return DET_OK;
}
