/* boxed_picture.h: a picture of a page, or a part of one, with boxes over it as SVG: sharp at any
 * width, told apart by a class of the style sheet. */
#ifndef DET_REVIEW_BOXED_PICTURE_H
#define DET_REVIEW_BOXED_PICTURE_H

#include "data/resize.h"
#include "monitor/page.h"

struct det_page_box {
    double box[4];     /* shares of the whole picture */
    const char *style; /* "given", "found", "other" or a colour class */
    const char *name;  /* shown when the pointer is on it; NULL: nothing */
};

struct det_boxed {
    const struct det_image *image;
    double region[4]; /* of it that is shown; all 0: all of it */
    int32_t side_px;  /* longer side, at most */
    const struct det_page_box *boxes;
    size_t count;
    const char *alt;
};

/* Writes <div class="look">. `small` is workspace, freed by the caller. */
det_status det_boxed_picture(struct det_xml_writer *xml, struct det_image *small,
                             const struct det_boxed *boxed);

/* What the style sheet needs of it. */
extern const char det_boxed_style[];

/* Makes `small` of a part of `image`, averaged, not sampled, where it is much smaller. */
det_status det_shrink(struct det_env *env, const struct det_image *image,
                      const struct det_window *window, int32_t side_px, struct det_image *small);

#endif
