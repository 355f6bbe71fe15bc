#include "support/rank_models.h"

static void open_config(struct rank_model *r, const struct workspace *w)
{
    det_context_settings settings;
    *r = (struct rank_model){0};
    test_env_init(&r->t);
    det_context_settings_default(&settings);
    settings.allocator = test_env_hooks(&r->t);
    settings.threads = 1;
    settings.device = "cpu";
    assert_int_equal(det_context_create(&r->context, &settings), DET_OK);
    assert_context_ok(r->context, det_pipeline_config_load(r->context, w->config, &r->config));
}

void rank_models_close(struct rank_model *ranks, int32_t count)
{
    for (int32_t r = 0; r < count; r++) {
        det_model_destroy(&ranks[r].model);
        det_pipeline_config_destroy(&ranks[r].config);
        det_context_destroy(&ranks[r].context);
        test_env_check(&ranks[r].t);
    }
}

void rank_models_train(const struct workspace *w, char path[400])
{
    struct rank_model r;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    open_config(&r, w);
    det_trainer_settings_default(&settings);
    settings.model_dir = w->model_dir;
    settings.summary_every_steps = 0;
    assert_context_ok(r.context, det_trainer_create(r.context, r.config, &settings, &trainer));
    assert_context_ok(r.context, det_trainer_run(trainer, NULL, NULL));
    snprintf(path, 400, "%s/ckpt-%lld.det", w->model_dir,
             (long long)det_trainer_steps_done(trainer));
    det_trainer_destroy(&trainer);
    rank_models_close(&r, 1);
}

void rank_models_open(struct rank_model *ranks, int32_t count, const struct workspace *w,
                      const char *model)
{
    for (int32_t r = 0; r < count; r++) {
        open_config(&ranks[r], w);
        assert_context_ok(ranks[r].context,
                          det_model_load(ranks[r].context, model, &ranks[r].model));
    }
}
