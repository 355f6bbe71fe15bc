/* export_shapes.h: all that a spec of a network may be, one change of a small one each, for tests
 * of what is exported. */
#ifndef DET_TESTS_SUPPORT_EXPORT_SHAPES_H
#define DET_TESTS_SUPPORT_EXPORT_SHAPES_H

#include "model/spec.h"

struct export_shape {
    const char *what; /* NULL behind the last */
    void (*change)(struct det_model_spec *spec);
};
extern const struct export_shape export_shapes[];

#endif
