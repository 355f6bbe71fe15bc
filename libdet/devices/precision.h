/* precision.h: what a precision that was asked for can be used for, whichever device it is. */
#ifndef DET_DEVICES_PRECISION_H
#define DET_DEVICES_PRECISION_H

#include "devices/backend.h"

/* Whether a network may be run: INT8 is for networks in 8 bits. `quantised`: NULL: in float32. */
det_status det_precision_runs(struct det_env *env, enum det_precision precision,
                              const struct det_quantised *quantised);
/* Whether a network may be trained. */
det_status det_precision_trains(struct det_env *env, enum det_precision precision);

#endif
