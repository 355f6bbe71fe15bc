/* Training without record files: train_callback PIPELINE.config MODEL_DIR STEPS
 *
 * Each sample is drawn when it is asked for: a bright rectangle, of the label map's first class, on
 * noise. Of a program with a camera or a renderer this is the place of its images. */
#include <stdio.h>
#include <stdlib.h>

#include "det/det.h"

enum { SAMPLES = 200, HELD_OUT = 20, HEIGHT = 120, WIDTH = 160 };

struct drawing {
    uint8_t rgb[HEIGHT][WIDTH][3];
    det_annotation_object object;
};

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 16;
}

/* A sample depends on its index alone: the same one whenever and by whichever thread it is asked
 * for. */
static int fill(void *user, size_t index, det_labelled_sample *sample)
{
    uint32_t state = *(const uint32_t *)user + (uint32_t)index;
    struct drawing *d = malloc(sizeof *d);
    if (d == NULL) {
        sample->error = "no memory for a drawing";
        return 1;
    }
    const int height = 20 + (int)(next_random(&state) % 60), width = height * 4 / 3;
    const int top = (int)(next_random(&state) % (unsigned)(HEIGHT - height));
    const int left = (int)(next_random(&state) % (unsigned)(WIDTH - width));
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++) {
                const int inside = y >= top && y < top + height && x >= left && x < left + width;
                d->rgb[y][x][c] = (uint8_t)(next_random(&state) % 100 + (inside ? 150 : 0));
            }
    det_annotation_object_default(&d->object);
    d->object.class_id = 1;
    d->object.in_pixels = 1;
    d->object.box[0] = top;
    d->object.box[1] = left;
    d->object.box[2] = top + height;
    d->object.box[3] = left + width;
    sample->pixels = (det_image_view){.pixels = &d->rgb[0][0][0], .width = WIDTH, .height = HEIGHT};
    sample->objects = &d->object;
    sample->object_count = 1;
    sample->own = d;
    return 0;
}

static void release(void *user, size_t index, det_labelled_sample *sample)
{
    (void)user;
    (void)index;
    free(sample->own);
}

static int tell(void *user, const det_step_report *report)
{
    (void)user;
    if (report->step % 10 == 0)
        printf("step %lld of %lld: loss %.3f\n", (long long)report->step,
               (long long)report->num_steps, report->total_loss);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: train_callback PIPELINE.config MODEL_DIR STEPS\n");
        return 2;
    }
    uint32_t training_seed = 1, evaluation_seed = 1000000;
    const det_sample_source training = {.struct_size = sizeof training,
                                        .count = SAMPLES,
                                        .user = &training_seed,
                                        .fill = fill,
                                        .release = release};
    det_sample_source held_out = training;
    held_out.count = HELD_OUT;
    held_out.user = &evaluation_seed;
    det_context *context = NULL;
    det_pipeline_config *config = NULL;
    det_trainer *trainer = NULL;
    det_trainer_settings settings;
    det_evaluation_settings evaluation;
    det_evaluation_settings_default(&evaluation);
    evaluation.samples = &held_out;
    det_trainer_settings_default(&settings);
    settings.model_dir = argv[2];
    settings.num_steps = atoll(argv[3]);
    settings.samples = &training;
    settings.evaluation = &evaluation;
    settings.eval_every_steps = settings.num_steps;
    det_error error;
    if (det_context_create_explained(&context, NULL, &error) != DET_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    det_status status = det_pipeline_config_load(context, argv[1], &config);
    if (status == DET_OK)
        status = det_trainer_create(context, config, &settings, &trainer);
    if (status == DET_OK)
        status = det_trainer_run(trainer, tell, NULL);
    det_trainer_best best = {.struct_size = sizeof best};
    if (status == DET_OK)
        status = det_trainer_get_best(trainer, &best);
    if (status == DET_OK)
        printf("%s %.3f of %d samples that were not trained on\n", best.metric, best.value,
               HELD_OUT);
    if (status != DET_OK)
        fprintf(stderr, "%s: %s\n", det_status_text(status), det_context_error(context));
    det_trainer_destroy(&trainer);
    det_pipeline_config_destroy(&config);
    det_context_destroy(&context);
    return status != DET_OK;
}
