/* view.h: a window that shows frames, by SDL2 where the build found it (sdl_view.c, in det-view.so,
 * which load_view.c loads), else an error (none_view.c). All calls come from the main thread. */
#ifndef DET_TOOLS_DETECT_VIEW_H
#define DET_TOOLS_DETECT_VIEW_H

#include "support/image.h"

struct view;

/* Fails where there is no display, with SDL's reason. The window appears with the first frame. */
det_status view_open(struct det_env *env, const char *title, struct view **view);
/* *closed: the user closed the window, or pressed q or Esc. */
det_status view_frame(struct det_env *env, struct view *view, const struct det_image *image,
                      bool *closed);
void view_close(struct det_env *env, struct view **view);

#endif
