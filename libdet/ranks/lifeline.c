/* Stands in until the real one is there. */
#include "ranks/lifeline.h"

#include "support/mem.h"

struct det_lifeline {
    int unused;
};

det_status det_lifeline_listen(struct det_env *env, const struct det_lifeline_settings *settings,
                               uint8_t call[DET_LIFELINE_CALL_BYTES],
                               struct det_lifeline **lifeline)
{
    (void)settings;
    (void)call;
    return det_alloc(env, lifeline, 1, sizeof **lifeline, "lifeline");
}

det_status det_lifeline_join(struct det_env *env, const struct det_lifeline_settings *settings,
                             const uint8_t call[DET_LIFELINE_CALL_BYTES],
                             struct det_lifeline **lifeline)
{
    (void)settings;
    (void)call;
    return det_alloc(env, lifeline, 1, sizeof **lifeline, "lifeline");
}

det_status det_lifeline_gather(struct det_env *env, struct det_lifeline *lifeline)
{
    (void)env;
    (void)lifeline;
    return DET_OK;
}

det_status det_lifeline_check(struct det_env *env, const struct det_lifeline *lifeline)
{
    (void)env;
    (void)lifeline;
    return DET_OK;
}

void det_lifeline_give_up(struct det_lifeline *lifeline, det_status status, const char *message)
{
    (void)lifeline;
    (void)status;
    (void)message;
}

void det_lifeline_close(struct det_env *env, struct det_lifeline **lifeline, bool orderly)
{
    (void)orderly;
    det_free(env, lifeline);
}
