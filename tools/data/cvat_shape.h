/* cvat_shape.h: the boxes of CVAT's shapes: <box>, <polygon>, <mask> and <ellipse>, turned or
 * not. */
#ifndef DET_TOOLS_DATA_CVAT_SHAPE_H
#define DET_TOOLS_DATA_CVAT_SHAPE_H

#include <stdbool.h>

/* What an element is: with a box around it, without (points, lines, skeletons), or no shape of an
 * image at all. */
enum cvat_kind { CVAT_BOXED, CVAT_POINTS, CVAT_NO_SHAPE };
enum cvat_kind cvat_kind_of(const char *element);

struct cvat_fault {
    const char *attribute; /* that is no number; NULL: none */
    char value[64];
};

/* The upright box (ymin, xmin, ymax, xmax, in pixels) around a boxed element. *as_it_is: it is a
 * box that is not turned. False: *fault says why there is none. */
bool cvat_shape_box(const char *element, const char *const *attributes, double box[4],
                    bool *as_it_is, struct cvat_fault *fault);

#endif
