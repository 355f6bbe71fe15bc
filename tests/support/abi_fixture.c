#include "support/abi_fixture.h"

const det_tile_settings abi_large_tiles = {sizeof abi_large_tiles, 4096, 4096, .2F, 1};

/* The records that the trainer reads, too. */
static void make_set(struct abi_fixture *f)
{
    char path[400];
    snprintf(path, sizeof path, "%s/train.tfrecord", f->w.directory);
    assert_context_ok(f->context, det_annotation_set_create(f->context, NULL, &f->set));
    assert_context_ok(f->context, det_annotation_set_read(f->set, "tfrecord", path, NULL));
    assert_context_ok(f->context, det_annotation_set_resolve(f->set));
}

/* A review of them, with a choice of one picture that is not among them. */
static void make_review(struct abi_fixture *f)
{
    uint8_t pixels[16 * 16 * 3];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i * 7 + i);
    const det_image_view view = {.pixels = pixels, .width = 16, .height = 16};
    det_annotation_image image = {.struct_size = sizeof image, .name = "a.png"};
    det_picture *picture = NULL;
    const uint8_t *data = NULL;
    size_t position = 0;
    det_context *c = f->context;
    assert_context_ok(c, det_picture_from_pixels(c, &view, &picture));
    assert_context_ok(c, det_picture_encode(picture, DET_PICTURE_PNG, 0, &data, &image.bytes));
    image.data = data;
    assert_context_ok(c, det_annotation_set_create(c, NULL, &f->unlabelled));
    assert_context_ok(c, det_annotation_set_add_image(f->unlabelled, &image, &position));
    assert_context_ok(c, det_annotation_set_resolve(f->unlabelled));
    det_picture_destroy(&picture);
    assert_context_ok(c, det_review_create(c, f->model, f->set, NULL, &f->review));
    assert_context_ok(c, det_review_choose(f->review, f->model, f->unlabelled, 1));
}

void abi_fixture_open(struct abi_fixture *f)
{
    static const float line[2][2] = {{0, .5F}, {1, .5F}};
    char events[300];
    *f = (struct abi_fixture){0};
    test_env_init(&f->t);
    workspace_make(&f->w, "abi");
    snprintf(events, sizeof events, "%s/events", f->w.directory);
    f->context = workspace_context(&f->t, 1);
    det_context *c = f->context;
    assert_context_ok(c, det_pipeline_config_load(c, f->w.config, &f->config));
    assert_context_ok(c, det_trainer_create(c, f->config, NULL, &f->trainer));
    assert_context_ok(c, det_trainer_snapshot(f->trainer, &f->model));
    assert_context_ok(c, det_coco_evaluator_create(c, NULL, &f->evaluator));
    assert_context_ok(c, det_coco_evaluator_add_category(f->evaluator, 1, "cat"));
    assert_context_ok(c, det_coco_evaluator_add_image(f->evaluator, 1));
    assert_context_ok(c, det_evaluation_run(c, f->config, f->model, NULL, &f->evaluation));
    det_detector_settings detecting;
    det_detector_settings_default(&detecting);
    detecting.keep_outputs = 1;
    assert_context_ok(c, det_detector_create(c, f->model, &detecting, &f->detector));
    static const uint8_t pixels[8 * 8 * 3];
    const det_image_view view = {.pixels = pixels, .width = 8, .height = 8};
    const det_detection *found = NULL;
    size_t count = 0;
    assert_context_ok(c, det_detector_run(f->detector, &view, &found, &count));
    assert_context_ok(c, det_export_create(c, f->model, "det", NULL, &f->exported));
    assert_context_ok(c, det_augmenter_create(c, f->config, &f->augmenter));
    assert_context_ok(c, det_counter_create(c, line, 2, 1, &f->counter));
    assert_context_ok(c, det_mot_measure_create(c, .5F, &f->measure));
    assert_context_ok(c, det_summary_writer_create(c, events, &f->writer));
    make_set(f);
    make_review(f);
}

void abi_fixture_close(struct abi_fixture *f)
{
    det_review_destroy(&f->review);
    det_annotation_set_destroy(&f->unlabelled);
    det_annotation_set_destroy(&f->set);
    det_export_destroy(&f->exported);
    det_summary_writer_destroy(&f->writer);
    det_mot_measure_destroy(&f->measure);
    det_counter_destroy(&f->counter);
    det_augmenter_destroy(&f->augmenter);
    det_detector_destroy(&f->detector);
    det_evaluation_destroy(&f->evaluation);
    det_coco_evaluator_destroy(&f->evaluator);
    det_model_destroy(&f->model);
    det_trainer_destroy(&f->trainer);
    det_pipeline_config_destroy(&f->config);
    det_context_destroy(&f->context);
    workspace_remove(&f->w);
    test_env_check(&f->t);
}
