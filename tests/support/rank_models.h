/* rank_models.h: what each rank of a test has of its own: a context of one thread, and the config
 * and a model of a workspace, from their files. */
#ifndef DET_TESTS_SUPPORT_RANK_MODELS_H
#define DET_TESTS_SUPPORT_RANK_MODELS_H

#include "support/workspace.h"

struct rank_model {
    struct test_env t;
    det_context *context;
    det_pipeline_config *config;
    det_model *model;
};

/* Trains as the workspace's config says; `path` becomes that of the last checkpoint. */
void rank_models_train(const struct workspace *w, char path[400]);

void rank_models_open(struct rank_model *ranks, int32_t count, const struct workspace *w,
                      const char *model);
void rank_models_close(struct rank_model *ranks, int32_t count);

#endif
