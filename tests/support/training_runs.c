#include "support/training_runs.h"

#include <time.h>

long number_from_env(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text != NULL && atol(text) > 0 ? atol(text) : otherwise;
}

double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void sleep_seconds(double seconds)
{
    const struct timespec pause = {.tv_sec = (time_t)seconds,
                                   .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&pause, NULL);
}

/* N of the last "BEFORE N" in a text, -1 when there is none. */
static long last_number(const char *text, const char *before)
{
    long number = -1;
    for (const char *at = text; (at = strstr(at, before)) != NULL;) {
        at += strlen(before);
        number = atol(at);
    }
    return number;
}

long last_step(const struct workspace *w, const char *log, const char *words)
{
    char before[500];
    snprintf(before, sizeof before, "%s %s/ckpt-", words, w->model_dir);
    return last_number(log, before);
}

struct training_result training_result_read(const struct workspace *w, int step)
{
    struct training_result result = {0};
    struct test_env t;
    char path[400];
    det_checkpoint_info info;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    snprintf(path, sizeof path, "%s/ckpt-%d.det", w->model_dir, step);
    result.last = test_read_bytes(path, &result.last_bytes);
    snprintf(path, sizeof path, "%s/best", w->model_dir);
    assert_context_ok(context, det_checkpoint_find(context, path, &info));
    result.best = test_read_bytes(info.path, &result.best_bytes);
    det_context_destroy(&context);
    test_env_check(&t);
    return result;
}

void training_result_free(struct training_result *result)
{
    free(result->last);
    free(result->best);
}

void assert_same_result(const struct training_result *a, const struct training_result *b,
                        long trial)
{
    if (a->last_bytes != b->last_bytes || memcmp(a->last, b->last, a->last_bytes) != 0)
        fail_msg("trial %ld: the last checkpoint is another one", trial);
    if (a->best_bytes != b->best_bytes || memcmp(a->best, b->best, a->best_bytes) != 0)
        fail_msg("trial %ld: the best checkpoint is another one", trial);
}

void assert_best_is_there(const struct workspace *w, const char *log)
{
    const char *reported = NULL;
    for (const char *at = log; (at = strstr(at, "(best so far)")) != NULL; at++)
        reported = at;
    if (reported == NULL)
        return;
    while (reported > log && strncmp(reported, "step ", 5) != 0)
        reported--;
    struct test_env t;
    char folder[400];
    det_checkpoint_info info;
    det_model *model = NULL;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    snprintf(folder, sizeof folder, "%s/best", w->model_dir);
    assert_context_ok(context, det_checkpoint_find(context, folder, &info));
    assert_true(info.step >= atol(reported + 5));
    assert_context_ok(context, det_model_load(context, info.path, &model));
    det_model_destroy(&model);
    det_context_destroy(&context);
    test_env_check(&t);
}

void assert_checkpoints_are_whole(const struct workspace *w)
{
    struct test_env t;
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    test_env_init(&t);
    det_context *context = workspace_context(&t, 1);
    if (det_checkpoint_list(context, w->model_dir, &list, &count) != DET_OK)
        count = 0; /* it was ended before it made the folder */
    for (size_t i = 0; i < count; i++) {
        det_model *model = NULL;
        assert_context_ok(context, det_model_load(context, list[i].path, &model));
        det_model_destroy(&model);
    }
    det_checkpoint_list_destroy(context, &list);
    det_context_destroy(&context);
    test_env_check(&t);
}
