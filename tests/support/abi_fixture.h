/* abi_fixture.h: one of each thing that takes or fills structs that grow (docs/abi.md). */
#ifndef DET_TESTS_SUPPORT_ABI_FIXTURE_H
#define DET_TESTS_SUPPORT_ABI_FIXTURE_H

#include "support/workspace.h"

/* By what structs grow here; memory around them, and what is in it. */
enum { ABI_STEP = sizeof(size_t), ABI_ROOM = 1024, ABI_GUARD = 0xA5 };

struct abi_fixture {
    struct test_env t;
    struct workspace w;
    det_context *context;
    det_error context_error; /* of the last context that was made besides */
    det_pipeline_config *config;
    det_trainer *trainer;
    det_model *model;
    det_coco_evaluator *evaluator;
    det_evaluation *evaluation;
    det_detector *detector;
    det_augmenter *augmenter;
    det_counter *counter;
    det_mot_measure *measure;
    det_summary_writer *writer;
    det_annotation_set *set, *unlabelled;
    det_review *review;
    det_export *exported;
};

void abi_fixture_open(struct abi_fixture *f);
void abi_fixture_close(struct abi_fixture *f);

/* Larger than any image of the set, which so stays as it is. */
extern const det_tile_settings abi_large_tiles;

#endif
