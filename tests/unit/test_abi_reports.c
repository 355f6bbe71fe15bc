/* docs/abi.md: structs that the library fills for a caller grow, in both directions. */
#include <stddef.h>

#include "support/abi_fixture.h"

#define FILL(stem, call)                                               \
    static det_status fill_##stem(struct abi_fixture *f, void *report) \
    {                                                                  \
        return call;                                                   \
    }
FILL(times, det_detector_last_times(f->detector, report))
FILL(raw, det_detector_outputs(f->detector, 0, report))
FILL(tensor, det_model_tensor_at(f->context, f->model, 0, report))
FILL(quantisation, det_model_quantisation(f->context, f->model, report))
FILL(nms, det_model_nms_settings(f->context, f->model, report))
FILL(losses, det_evaluation_get_losses(f->evaluation, report))
FILL(step, det_trainer_step(f->trainer, report))
FILL(best, det_trainer_get_best(f->trainer, report))
FILL(memory, det_trainer_memory_plan(f->trainer, report))
FILL(advice, det_model_decay_advice(f->model, report))
FILL(count, det_counter_count(f->counter, 0, report))
FILL(mot, det_mot_measure_result(f->measure, report))
FILL(image, det_annotation_set_image(f->set, 0, report))
FILL(repairs, det_annotation_set_repair(f->set, report))
FILL(split_stats, det_annotation_set_split_stats(f->set, NULL, report))
FILL(class_stats, det_annotation_set_class_stats(f->set, NULL, 1, report))
FILL(row, det_review_row_at(f->review, 0, report))
FILL(choice, det_review_choice_at(f->review, 0, report))
FILL(file, det_export_file_at(f->context, f->exported, 0, report))
FILL(proof, det_export_proof_of(f->context, f->exported, report))

static det_status fill_augmented(struct abi_fixture *f, void *report)
{
    static const uint8_t pixels[8 * 8 * 3];
    const det_image_view view = {.pixels = pixels, .width = 8, .height = 8};
    return det_augmenter_run(f->augmenter, &view, NULL, 0, 1, 1, report);
}

static det_status fill_annotation(struct abi_fixture *f, void *report)
{
    size_t position = 0;
    det_annotation_image_info info = {.struct_size = sizeof info};
    while (det_annotation_set_image(f->set, position, &info) == DET_OK && info.object_count == 0)
        position++;
    return det_annotation_set_object(f->set, position, 0, report);
}

static det_status fill_tiled(struct abi_fixture *f, void *report)
{
    det_annotation_tile_settings settings;
    det_annotation_tile_settings_default(&settings);
    settings.tiles = &abi_large_tiles;
    return det_annotation_set_tile(f->set, &settings, report);
}

static det_status fill_written(struct abi_fixture *f, void *report)
{
    char path[400];
    snprintf(path, sizeof path, "%s/written", f->w.directory);
    return det_annotation_set_write(f->set, "csv", path, NULL, report);
}

static det_status fill_choices(struct abi_fixture *f, void *report)
{
    char path[400];
    snprintf(path, sizeof path, "%s/starter.config", f->w.directory);
    return det_starter_config_write(f->context, f->set, path, NULL, report);
}

#define STRUCT(type) #type, sizeof(type)

static void reports_are_filled_as_far_as_they_go(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t size;
        det_status (*fill)(struct abi_fixture *f, void *report);
    } reports[] = {
        {STRUCT(det_detector_times), fill_times},
        {STRUCT(det_detector_raw), fill_raw},
        {STRUCT(det_model_tensor), fill_tensor},
        {STRUCT(det_nms_settings), fill_nms},
        {STRUCT(det_quantisation_info), fill_quantisation},
        {STRUCT(det_starter_choices), fill_choices},
        {STRUCT(det_evaluation_losses), fill_losses},
        {STRUCT(det_step_report), fill_step},
        {STRUCT(det_trainer_best), fill_best},
        {STRUCT(det_trainer_memory), fill_memory},
        {STRUCT(det_decay_advice), fill_advice},
        {STRUCT(det_count), fill_count},
        {STRUCT(det_mot_result), fill_mot},
        {STRUCT(det_augmented), fill_augmented},
        {STRUCT(det_annotation_image_info), fill_image},
        {STRUCT(det_annotation_object), fill_annotation},
        {STRUCT(det_annotation_repairs), fill_repairs},
        {STRUCT(det_annotation_split_stats), fill_split_stats},
        {STRUCT(det_annotation_class_stats), fill_class_stats},
        {STRUCT(det_annotations_tiled), fill_tiled},
        {STRUCT(det_annotations_written), fill_written},
        {STRUCT(det_export_file), fill_file},
        {STRUCT(det_export_proof), fill_proof},
        {STRUCT(det_review_row), fill_row},
        {STRUCT(det_review_choice), fill_choice},
    };
    struct abi_fixture f;
    abi_fixture_open(&f);
    for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
        _Alignas(max_align_t) unsigned char memory[ABI_ROOM];
        const size_t size = reports[i].size, sizes[] = {size - ABI_STEP, size, size + ABI_STEP};
        for (size_t k = 0; k < 3; k++) {
            memset(memory, ABI_GUARD, ABI_ROOM);
            memcpy(memory, &sizes[k], sizeof sizes[k]);
            if (reports[i].fill(&f, memory) != DET_OK)
                fail_msg("%s of %zu bytes: %s", reports[i].name, sizes[k],
                         det_context_error(f.context));
            assert_memory_equal(memory, &sizes[k], sizeof sizes[k]);
            for (size_t at = sizes[k]; at < ABI_ROOM; at++)
                if (memory[at] != ABI_GUARD)
                    fail_msg("%s of %zu bytes: byte %zu was written", reports[i].name, sizes[k],
                             at);
            for (size_t at = size; at < sizes[k]; at++)
                assert_int_equal(memory[at], 0);
        }
        const size_t wrong[] = {0, ABI_STEP, SIZE_MAX};
        for (size_t k = 0; k < 3; k++) {
            memcpy(memory, &wrong[k], sizeof wrong[k]);
            assert_int_equal(reports[i].fill(&f, memory), DET_STATUS_INVALID_ARGUMENT);
            if (reports[i].fill != fill_advice)
                assert_contains(det_context_error(f.context), reports[i].name);
        }
    }
    abi_fixture_close(&f);
}

int test_abi_reports(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reports_are_filled_as_far_as_they_go)};
    return cmocka_run_group_tests_name("abi_reports", tests, NULL, NULL);
}
