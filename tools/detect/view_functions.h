/* view_functions.h: view.h as a table, which is all that det-view.so (sdl_view.c) shows to
 * load_view.c in det-detect. */
#ifndef DET_TOOLS_DETECT_VIEW_FUNCTIONS_H
#define DET_TOOLS_DETECT_VIEW_FUNCTIONS_H

#include "detect/view.h"

/* The name of the table in det-view.so. */
#define VIEW_FUNCTIONS "det_view_functions"

struct view_functions {
    const char *build; /* tools_build */
    __typeof__(view_open) *open;
    __typeof__(view_frame) *frame;
    __typeof__(view_close) *close;
};

#endif
