/* docs/abi.md: structs that a caller fills grow, in both directions. Those that the library fills
 * are test_abi_reports.c, the shared library is test_abi_library.c; headers alone are compiled by
 * abi.mk. */
#include <stddef.h>

#include "support/abi_settings.h"

/* A field that is added changes the size: no struct that a caller fills has room behind its last
 * field. */
#define ENDS_WITH(type, last)                                                        \
    _Static_assert(offsetof(type, last) + sizeof(((type *)0)->last) == sizeof(type), \
                   #type " has padding behind its last field: make that `reserved`")
ENDS_WITH(det_allocator, release);
ENDS_WITH(det_logger, write);
ENDS_WITH(det_context_settings, reserved);
ENDS_WITH(det_tile_settings, whole);
ENDS_WITH(det_detector_settings, tiles);
ENDS_WITH(det_evaluation_settings, communicator);
ENDS_WITH(det_communicator_settings, standstill_seconds);
ENDS_WITH(det_recalibration_settings, samples);
ENDS_WITH(det_quantisation_settings, accept_user);
ENDS_WITH(det_sample_source, release);
ENDS_WITH(det_trainer_settings, wants_stop_user);
ENDS_WITH(det_tracker_settings, frame_rate);
ENDS_WITH(det_coco_settings, first_row_follows_max_dets);
ENDS_WITH(det_detection_report_settings, confusion_score);
ENDS_WITH(det_nms_settings, scales);
ENDS_WITH(det_tensor_values, count);
ENDS_WITH(det_starter_settings, assignment_count);
ENDS_WITH(det_coco_object, reserved);
ENDS_WITH(det_pr_curve, recall);
ENDS_WITH(det_results_frame, track_ids);
ENDS_WITH(det_annotation_set_settings, user);
ENDS_WITH(det_annotation_image, height_px);
ENDS_WITH(det_annotation_object, truncated);
ENDS_WITH(det_annotation_report_settings, seed);
ENDS_WITH(det_annotation_sheet_settings, augmentation);
ENDS_WITH(det_annotation_tile_settings, seed);
ENDS_WITH(det_annotation_write_settings, name);
ENDS_WITH(det_export_settings, onnx_opset);
ENDS_WITH(det_review_settings, user);

/* Settings of this size in memory whose other bytes would be a mistake to read. */
static void *settings_of(const struct abi_settings *s, size_t struct_size)
{
    static _Alignas(max_align_t) unsigned char memory[ABI_ROOM];
    assert_true(struct_size <= ABI_ROOM - 64);
    memset(memory, ABI_GUARD, ABI_ROOM);
    s->init(memory, struct_size);
    for (size_t i = struct_size; i < ABI_ROOM; i++)
        assert_int_equal(memory[i], ABI_GUARD);
    size_t noted = 0;
    memcpy(&noted, memory, sizeof noted);
    assert_int_equal(noted, struct_size);
    return memory;
}

static void expect_status(struct abi_fixture *f, const struct abi_settings *s, const void *settings,
                          det_status wanted, const char *text)
{
    f->context_error.text[0] = '\0';
    const det_status status = s->use(f, settings);
    const char *said =
        f->context_error.text[0] != '\0' ? f->context_error.text : det_context_error(f->context);
    if (status != wanted || (text != NULL && strstr(said, text) == NULL) ||
        (text != NULL && strstr(said, s->name) == NULL))
        fail_msg("%s: got \"%s\" (%s), expected \"%s\" with \"%s\"", s->name,
                 det_status_text(status), said, det_status_text(wanted), text != NULL ? text : "");
}

static void settings_may_be_older_or_newer(void **state)
{
    (void)state;
    struct abi_fixture f;
    abi_fixture_open(&f);
    for (int i = 0; i < ABI_SETTINGS; i++) {
        const struct abi_settings *s = &abi_settings[i];
        expect_status(&f, s, settings_of(s, s->size), DET_OK, NULL);
        if (s->size > 2 * (size_t)ABI_STEP && !s->wants_last)
            expect_status(&f, s, settings_of(s, s->size - ABI_STEP), DET_OK, NULL);
        /* A newer program: what it leaves alone is zero. */
        unsigned char *longer = settings_of(s, s->size + ABI_STEP);
        expect_status(&f, s, longer, DET_OK, NULL);
        longer[s->size + ABI_STEP - 1] = 1;
        expect_status(&f, s, longer, DET_STATUS_UNSUPPORTED, "newer version");
    }
    abi_fixture_close(&f);
}

static void sizes_that_were_never_set_are_refused(void **state)
{
    (void)state;
    struct abi_fixture f;
    abi_fixture_open(&f);
    const size_t sizes[] = {0,        1,           ABI_STEP, 3 * ABI_STEP + 1, (size_t)1 << 20,
                            SIZE_MAX, SIZE_MAX - 7};
    for (int i = 0; i < ABI_SETTINGS; i++)
        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            void *settings = settings_of(&abi_settings[i], abi_settings[i].size);
            memcpy(settings, &sizes[k], sizeof sizes[k]);
            expect_status(&f, &abi_settings[i], settings, DET_STATUS_INVALID_ARGUMENT,
                          "struct_size is");
        }
    abi_fixture_close(&f);
}

/* Every prefix of the defaults is what a program of that size gets. */
static void defaults_stay_within_the_callers_size(void **state)
{
    (void)state;
    for (int i = 0; i < ABI_SETTINGS; i++) {
        const struct abi_settings *s = &abi_settings[i];
        unsigned char whole[ABI_ROOM];
        memcpy(whole, settings_of(s, s->size), s->size);
        for (size_t size = ABI_STEP; size < s->size; size += ABI_STEP) {
            const unsigned char *shorter = settings_of(s, size);
            assert_memory_equal(shorter + ABI_STEP, whole + ABI_STEP, size - ABI_STEP);
        }
    }
}

/* Whoever takes a struct of this name says so of these settings. */
static void expect_refused(struct abi_fixture *f, const char *name, const void *settings,
                           const char *text)
{
    int takers = 0;
    for (int i = 0; i < ABI_SETTINGS; i++)
        if (strcmp(abi_settings[i].name, name) == 0) {
            expect_status(f, &abi_settings[i], settings, DET_STATUS_INVALID_ARGUMENT, text);
            takers++;
        }
    assert_true(takers > 0);
}

static void reserved_fields_must_be_zero(void **state)
{
    (void)state;
    struct abi_fixture f;
    abi_fixture_open(&f);
    const struct {
        const char *name;
        size_t at;
    } fields[] = {
        {"det_context_settings", offsetof(det_context_settings, reserved)},
        {"det_evaluation_settings", offsetof(det_evaluation_settings, reserved)},
        {"det_coco_object", offsetof(det_coco_object, reserved)},
        {"det_results_frame", offsetof(det_results_frame, reserved)},
        {"det_annotation_sheet_settings", offsetof(det_annotation_sheet_settings, reserved)},
    };
    for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
        for (int i = 0; i < ABI_SETTINGS; i++) {
            if (strcmp(abi_settings[i].name, fields[k].name) != 0)
                continue;
            unsigned char *settings = settings_of(&abi_settings[i], abi_settings[i].size);
            settings[fields[k].at] = 1;
            expect_status(&f, &abi_settings[i], settings, DET_STATUS_INVALID_ARGUMENT,
                          "reserved is 1");
        }
    abi_fixture_close(&f);
}

static void lists_of_strings_are_looked_at(void **state)
{
    (void)state;
    struct abi_fixture f;
    const char *const hole[] = {"a", NULL};
    det_evaluation_settings evaluation;
    det_quantisation_settings quantisation;
    det_recalibration_settings recalibration;
    det_trainer_settings training;
    abi_fixture_open(&f);
    det_quantisation_settings_default(&quantisation);
    det_evaluation_settings_default(&evaluation);
    det_recalibration_settings_default(&recalibration);
    det_trainer_settings_default(&training);
    evaluation.image_dir_count = recalibration.record_count = training.image_dir_count = 2;
    quantisation.record_count = 2;
    for (int with_hole = 0; with_hole < 2; with_hole++) {
        const char *text = with_hole ? "[1] is NULL" : " is NULL, with a count of 2";
        evaluation.image_dirs = recalibration.records = training.image_dirs =
            with_hole ? hole : NULL;
        quantisation.records = evaluation.image_dirs;
        expect_refused(&f, "det_quantisation_settings", &quantisation, text);
        expect_refused(&f, "det_evaluation_settings", &evaluation, text);
        expect_refused(&f, "det_recalibration_settings", &recalibration, text);
        expect_refused(&f, "det_trainer_settings", &training, text);
    }
    abi_fixture_close(&f);
}

int test_abi(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_may_be_older_or_newer),
        cmocka_unit_test(sizes_that_were_never_set_are_refused),
        cmocka_unit_test(defaults_stay_within_the_callers_size),
        cmocka_unit_test(reserved_fields_must_be_zero),
        cmocka_unit_test(lists_of_strings_are_looked_at),
    };
    return cmocka_run_group_tests_name("abi", tests, NULL, NULL);
}
