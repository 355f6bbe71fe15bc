/* The reference's table. */
#include "ops/ref/ref_ops.h"

static const struct det_ops ref_ops = {.name = "ref", DET_OP_LIST(DET_FILL_OP, ref)};

const struct det_ops *det_ops_ref(void)
{
    return &ref_ops;
}
