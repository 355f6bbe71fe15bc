/* context.h: what stands behind the public handle det_context. */
#ifndef DET_BASE_CONTEXT_H
#define DET_BASE_CONTEXT_H

#include "base/env.h"

struct det_env *det_context_env(det_context *context);

#endif
