#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "formats/pipeline_edit.h"
#include "support/mem.h"
#include "support/memory_limit.h"
#include "support/writer.h"
#include "train/memory_plan.h"
#include "train/recalibrate.h"
#include "train/starter.h"

/* What the recipe was measured with (docs/recipes.md): a rate for a batch, which the linear rule
 * scales. */
#define USUAL_BATCH 8
#define USUAL_RATE  0.04
/* The zoo's smallest anchor is 32 pixels wide, its finest grid has one cell for 8. */
#define SMALL_SIDE 20

static const det_starter_settings defaults = {
    .struct_size = sizeof defaults,
    .split = "train",
    .train_records = "train.tfrecord",
    .test_records = "test.tfrecord",
    .label_map = "label_map.pbtxt",
};

void det_starter_settings_init(det_starter_settings *settings, size_t struct_size)
{
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

static int rising(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int rising_px(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* "left" as a word of its own: "turn_left", not "leftover". */
static bool has_word(const char *name, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = name; *at != '\0'; at++) {
        const bool begins = at == name || !isalpha((unsigned char)at[-1]);
        size_t i = 0;
        while (i < length && tolower((unsigned char)at[i]) == word[i])
            i++;
        if (begins && i == length && !isalpha((unsigned char)at[length]))
            return true;
    }
    return false;
}

static void look_at_names(const det_annotation_set *set, struct det_starter_data *data)
{
    data->classes = det_annotation_set_class_count(set);
    for (int32_t id = 1; id <= data->classes; id++) {
        const char *name = det_annotation_set_class_name(set, id);
        data->sided = data->sided || has_word(name, "left") || has_word(name, "right");
    }
}

static det_status take_box(det_annotation_set *set, size_t image, size_t index,
                           struct det_starter_data *data)
{
    det_annotation_object object = {.struct_size = sizeof object};
    DET_TRY_RETURN(det_annotation_set_object(set, image, index, &object));
    const double height = object.box[2] - object.box[0], width = object.box[3] - object.box[1];
    if (!(height > 0 && width > 0))
        return DET_OK;
    for (int c = 0; c < 4; c++)
        data->shares[data->boxes][c] = (float)object.box[c];
    data->sides[data->boxes] = sqrt(height * width);
    data->aspects[data->boxes++] = width / height;
    return DET_OK;
}

static det_status take_images(struct det_env *env, det_annotation_set *set, const char *split,
                              struct det_starter_data *data)
{
    int32_t *shorter = NULL;
    const size_t count = det_annotation_set_image_count(set);
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &shorter, count, sizeof *shorter, "sizes of pictures"));
    for (size_t i = 0; i < count; i++) {
        det_annotation_image_info info = {.struct_size = sizeof info};
        DET_TRY(det_annotation_set_image(set, i, &info));
        if (!info.usable || strcmp(info.split, split) != 0)
            continue;
        shorter[data->images++] = info.width_px < info.height_px ? info.width_px : info.height_px;
        if (info.object_count > data->most_boxes)
            data->most_boxes = info.object_count;
        for (size_t k = 0; k < info.object_count; k++)
            DET_TRY(take_box(set, i, k, data));
    }
    qsort(data->sides, data->boxes, sizeof *data->sides, rising);
    qsort(data->aspects, data->boxes, sizeof *data->aspects, rising);
    qsort(shorter, data->images, sizeof *shorter, rising_px);
    if (data->images > 0)
        data->median_side = shorter[data->images / 2];
fail:
    det_free(env, &shorter);
    return status;
}

static det_status look_at(struct det_env *env, det_annotation_set *set, const char *split,
                          struct det_starter_data *data)
{
    const size_t most = det_annotation_set_object_count(set);
    DET_TRY_RETURN(det_alloc(env, &data->shares, most, sizeof *data->shares, "boxes"));
    DET_TRY_RETURN(det_alloc(env, &data->sides, most, sizeof *data->sides, "boxes"));
    DET_TRY_RETURN(det_alloc(env, &data->aspects, most, sizeof *data->aspects, "boxes"));
    look_at_names(set, data);
    DET_TRY_RETURN(take_images(env, set, split, data));
    if (data->images == 0 || data->boxes == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "split `%s` has %zu images and %zu boxes: there is nothing to train on",
                        split, data->images, data->boxes);
    return DET_OK;
}

static void forget(struct det_env *env, struct det_starter_data *data)
{
    det_free(env, &data->shares);
    det_free(env, &data->sides);
    det_free(env, &data->aspects);
}

static void choose_size(const struct det_starter_data *data, const det_starter_settings *settings,
                        det_starter_choices *choices)
{
    const double median = data->sides[data->boxes / 2];
    choices->input_px = settings->input_px;
    if (settings->input_px == 0)
        choices->input_px = 320 * median < SMALL_SIDE && data->median_side > 480 ? 640 : 320;
    choices->median_side_px = choices->input_px * median;
}

/* As --batch_size auto does: at most four fifths of the memory. */
static det_status choose_batch(det_context *context, const struct det_starter_data *data,
                               const det_starter_settings *settings, det_starter_choices *choices)
{
    const size_t limit = det_memory_available() / 5 * 4;
    const struct det_learner_settings learner = {.rule = DET_UPDATE_MOMENTUM};
    const struct det_loader_settings loader = {.height = choices->input_px,
                                               .width = choices->input_px};
    struct det_model_spec spec;
    const struct det_memory_question question = {
        .spec = &spec, .learner = &learner, .loader = &loader};
    choices->batch_size = settings->batch_size;
    if (settings->batch_size > 0)
        return DET_OK;
    det_model_spec_default(&spec, choices->input_px, data->classes);
    for (int32_t batch = USUAL_BATCH; batch >= 1; batch /= 2) {
        det_trainer_memory memory;
        DET_TRY_RETURN(det_memory_plan(context, &question, batch, &memory));
        choices->batch_size = batch;
        if (det_memory_total(&memory) <= limit && ((size_t)batch <= data->images || batch == 1))
            return DET_OK;
    }
    return det_fail(det_context_env(context), DET_STATUS_OUT_OF_MEMORY,
                    "training at %d x %d needs more memory for one picture than this machine has "
                    "(%zu MB are available)",
                    choices->input_px, choices->input_px, limit / 4 * 5 / 1000000);
}

/* Small sets are seen some 60 times, large ones less often: hundreds of pictures take about a
 * thousand steps of 8, ten thousand some 13,000. */
static int32_t steps_for(const struct det_starter_data *data, int32_t batch_size)
{
    const double steps = 30 * pow((double)data->images, 0.66) * USUAL_BATCH / batch_size;
    const double clipped = steps < 600 ? 600 : steps > 50000 ? 50000 : steps;
    return (int32_t)(round(clipped / 100) * 100);
}

static void choose_schedule(const struct det_starter_data *data,
                            const det_starter_settings *settings, det_starter_choices *choices)
{
    choices->steps = settings->steps > 0 ? settings->steps : steps_for(data, choices->batch_size);
    const double rate = USUAL_RATE * choices->batch_size / USUAL_BATCH;
    choices->learning_rate = rate < 0.08 ? rate : 0.08;
    const double decay = det_decay_fitting(choices->steps);
    choices->decay = decay < 0.9 ? 0.9 : decay > 0.997 ? 0.997 : decay;
    choices->flips = !data->sided;
}

static det_status check(struct det_env *env, const det_starter_settings *s)
{
    DET_TRY_RETURN(det_check_reserved(env, "det_starter_settings", s->reserved));
    if (s->input_px != 0 && (s->input_px < 64 || s->input_px > 1280))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_starter_settings: input_px is %d, expected 64 to 1280, or 0",
                        s->input_px);
    if (s->batch_size < 0 || s->steps < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_starter_settings: batch_size %d, steps %d: expected at least 0",
                        s->batch_size, s->steps);
    return DET_OK;
}

static void fill_in(det_starter_settings *s)
{
    s->split = s->split != NULL ? s->split : defaults.split;
    s->train_records = s->train_records != NULL ? s->train_records : defaults.train_records;
    s->test_records = s->test_records != NULL ? s->test_records : defaults.test_records;
    s->label_map = s->label_map != NULL ? s->label_map : defaults.label_map;
}

static det_status choose(det_context *context, det_annotation_set *set,
                         const det_starter_settings *settings, struct det_starter_data *data,
                         det_starter_choices *choices)
{
    struct det_env *env = det_context_env(context);
    DET_TRY_RETURN(look_at(env, set, settings->split, data));
    choose_size(data, settings, choices);
    DET_TRY_RETURN(choose_batch(context, data, settings, choices));
    choose_schedule(data, settings, choices);
    return det_starter_choose_anchors(env, data, choices);
}

det_status det_starter_config_write(det_context *context, det_annotation_set *set, const char *path,
                                    const det_starter_settings *settings,
                                    det_starter_choices *choices)
{
    struct det_env *env = det_context_env(context);
    det_starter_settings taken = defaults;
    det_starter_choices chosen = {.struct_size = sizeof chosen};
    struct det_starter_data data = {0};
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_NEED(env, context);
    DET_NEED(env, set);
    DET_NEED(env, path);
    if (choices != NULL)
        DET_NEED_REPORT(env, det_starter_choices, choices);
    DET_TRY_RETURN(DET_TAKE(env, det_starter_settings, &taken, settings));
    DET_TRY_RETURN(det_check_strings(env, "det_starter_settings: assignments", taken.assignments,
                                     taken.assignment_count));
    DET_TRY_RETURN(check(env, &taken));
    fill_in(&taken);
    DET_TRY(choose(context, set, &taken, &data, &chosen));
    DET_TRY(det_starter_text(env, &data, &taken, &chosen, &text));
    for (size_t i = 0; i < taken.assignment_count; i++)
        DET_TRY(det_pipeline_edit(env, path, taken.assignments[i], &text));
    DET_TRY(det_write_file(env, path, text.data, text.length));
    if (choices != NULL)
        det_fill_report(choices, &chosen, sizeof chosen);
fail:
    forget(env, &data);
    det_text_free(env, &text);
    return status;
}
