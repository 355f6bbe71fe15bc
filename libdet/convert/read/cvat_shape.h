/* cvat_shape.h: the boxes of CVAT's shapes: <box>, <polygon>, <mask> and <ellipse>, turned or
 * not. */
#ifndef DET_CONVERT_READ_CVAT_SHAPE_H
#define DET_CONVERT_READ_CVAT_SHAPE_H

#include <stdbool.h>

/* What an element is: with a box around it, without (points, lines, skeletons), or no shape of an
 * image at all. */
enum det_cvat_kind { DET_CVAT_BOXED, DET_CVAT_POINTS, DET_CVAT_NO_SHAPE };
enum det_cvat_kind det_cvat_kind_of(const char *element);

struct det_cvat_fault {
    const char *attribute; /* that is no number; NULL: none */
    char value[64];
};

/* The upright box (ymin, xmin, ymax, xmax, in pixels) around a boxed element. *as_it_is: it is a
 * box that is not turned. False: *fault says why there is none. */
bool det_cvat_shape_box(const char *element, const char *const *attributes, double box[4],
                        bool *as_it_is, struct det_cvat_fault *fault);

#endif
