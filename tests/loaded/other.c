/* A backend of another build. */
#include "det/export.h"
#include "devices/backend_library.h"

DET_API extern const struct det_backend_library det_backend_library;
const struct det_backend_library det_backend_library = {.build = "0.0.9-0123456789ab"};
