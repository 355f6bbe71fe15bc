/* A backend of another build. */
#include "backend/backend_library.h"
#include "det/export.h"

DET_API extern const struct det_backend_library det_backend_library;
const struct det_backend_library det_backend_library = {.build = "0.0.9-0123456789ab"};
