/* workspace.h: a tiny TF OD API workspace for tests of training, evaluation, export and the
 * tools. */
#ifndef DET_TESTS_SUPPORT_WORKSPACE_H
#define DET_TESTS_SUPPORT_WORKSPACE_H

#include "det/det.h"
#include "support/test.h"

struct workspace {
    char directory[256];
    char config[300];    /* pipeline.config */
    char model_dir[300]; /* not made yet */
};

/* Writes label_map.pbtxt (cat, dog), train.tfrecord and test.tfrecord (10 small pictures each) and
 * pipeline.config: 96 x 96, alpha .1, batch 4, 12 steps. */
void workspace_make(struct workspace *w, const char *name);
void workspace_remove(const struct workspace *w);
/* Writes the config anew with `from` replaced by `to`; asserts that `from` is in it. */
void workspace_edit_config(const struct workspace *w, const char *from, const char *to);

/* A context on the reference operations with the test allocator's hooks. */
det_context *workspace_context(struct test_env *t, int threads);
/* The same on the operations of the machine. */
det_context *workspace_machine(struct test_env *t, int threads);

/* A training of a workspace's config, on the reference operations. */
struct workspace_run {
    struct test_env t;
    det_context *context;
    det_pipeline_config *config;
    det_trainer *trainer;
};
/* What det_trainer_create() says to the settings, NULL: no trainer; to be closed in any case. */
det_status workspace_run_open(struct workspace_run *run, const struct workspace *w,
                              const det_trainer_settings *settings, int threads);
void workspace_run_close(struct workspace_run *run);

/* Status and a part of the message of a call on a context. */
#define assert_context_fails(context, wanted, text, expression)                                  \
    do {                                                                                         \
        const det_status got_ = (expression);                                                    \
        if (got_ != (wanted) || strstr(det_context_error(context), (text)) == NULL)              \
            fail_msg("%s: got \"%s\" (%s), expected \"%s\" with \"%s\"", #expression,            \
                     det_status_text(got_), det_context_error(context), det_status_text(wanted), \
                     (text));                                                                    \
    } while (0)
#define assert_context_ok(context, expression)                                                     \
    do {                                                                                           \
        const det_status ok_ = (expression);                                                       \
        if (ok_ != DET_OK)                                                                         \
            fail_msg("%s: %s: %s", #expression, det_status_text(ok_), det_context_error(context)); \
    } while (0)

#endif
