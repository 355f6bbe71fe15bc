/* load_view.c: view.h in det-detect where the build found SDL2; view_open() loads det-view.so. */
#include "detect/view_functions.h"
#include "video/plugin.h"

static const struct view_functions *functions; /* of the main thread, as all calls */

det_status view_open(struct det_env *env, const char *title, struct view **view)
{
    const void *table = functions;
    *view = NULL;
    if (table == NULL)
        DET_TRY_RETURN(plugin_load(env, "--view", "det-view", VIEW_FUNCTIONS, &table));
    functions = table;
    return functions->open(env, title, view);
}

det_status view_frame(struct det_env *env, struct view *view, const struct det_image *image,
                      bool *closed)
{
    return functions->frame(env, view, image, closed);
}

void view_close(struct det_env *env, struct view **view)
{
    if (*view != NULL)
        functions->close(env, view);
}
