#include "video/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "support/mem.h"
#include "support/path.h"
#include "video/build.h"

/* PREFIX/lib/libdet/NAME.so of PREFIX/bin/PROGRAM. */
static det_status find_plugin(struct det_env *env, const char *name, char **path)
{
    char program[PATH_MAX], *bin = NULL, *prefix = NULL;
    const ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);
    det_status status = DET_OK;
    if (length < 0)
        return det_fail_errno(env, errno, "/proc/self/exe");
    program[length] = '\0';
    DET_TRY(det_path_directory(env, &bin, program));
    DET_TRY(det_path_directory(env, &prefix, bin));
    DET_TRY(det_path_join_printf(env, path, prefix, "lib/libdet/%s.so", name));
fail:
    det_free(env, &bin);
    det_free(env, &prefix);
    return status;
}

/* Takes the table of the library at `path`. */
static det_status load(struct det_env *env, const char *what, const char *path, const char *symbol,
                       const void **table)
{
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    const void *found = library != NULL ? dlsym(library, symbol) : NULL;
    if (found == NULL) /* dlerror() names the file */
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s", what, dlerror());
    const char *build = *(const char *const *)found;
    if (strcmp(build, tools_build) != 0) {
        const det_status status =
            det_fail(env, DET_STATUS_UNSUPPORTED, "%s: %s is of libdet %s, this is %s", what, path,
                     build, tools_build);
        dlclose(library);
        return status;
    }
    *table = found;
    return DET_OK;
}

det_status plugin_load(struct det_env *env, const char *what, const char *name, const char *symbol,
                       const void **table)
{
    char *path = NULL;
    *table = NULL;
    DET_TRY_RETURN(find_plugin(env, name, &path));
    const det_status status = load(env, what, path, symbol, table);
    det_free(env, &path);
    return status;
}
