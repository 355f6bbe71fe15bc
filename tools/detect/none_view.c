#include "detect/view.h"

det_status view_open(struct det_env *env, const char *title, struct view **view)
{
    (void)title;
    *view = NULL;
    return det_fail(env, DET_STATUS_UNSUPPORTED,
                    "--view: built without SDL2; install libsdl2-dev and build again, or use "
                    "--mjpeg PORT and a browser");
}

det_status view_frame(struct det_env *env, struct view *view, const struct det_image *image,
                      bool *closed)
{
    (void)view;
    (void)image;
    *closed = true;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "--view: built without SDL2");
}

void view_close(struct det_env *env, struct view **view)
{
    (void)env;
    *view = NULL;
}
