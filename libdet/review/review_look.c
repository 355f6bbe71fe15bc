#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/tile.h"
#include "model/anchors.h"
#include "model/box_coder.h"
#include "model/postprocess.h"
#include "model/targets.h"
#include "review/review.h"
#include "support/mem.h"

/* Below it a place is background for the network. */
#define SEEN_FROM 0.01F
/* Of two detections that overlap more the surer one stays, whatever their classes are. */
#define SAME_PLACE 0.5F
enum { MOST_FOUND = 300 };

static int32_t class_called(const struct det_annotations *set, const char *name)
{
    for (size_t i = 0; i < set->classes.count; i++)
        if (strcmp(set->classes.paths[i], name) == 0)
            return (int32_t)i;
    return -1;
}

static det_status match_classes(struct det_env *env, const det_model *model,
                                const struct det_annotations *set, struct det_look *look)
{
    const int32_t count = model->class_count;
    int32_t shared = 0;
    DET_TRY_RETURN(
        det_alloc(env, &look->set_class, (size_t)count, sizeof *look->set_class, "classes"));
    DET_TRY_RETURN(det_alloc(env, &look->model_class, set->classes.count, sizeof *look->model_class,
                             "classes"));
    look->set_classes = (int32_t)set->classes.count;
    for (int32_t k = 0; k < look->set_classes; k++)
        look->model_class[k] = -1;
    for (int32_t k = 0; k < count; k++) {
        const int32_t found = class_called(set, model->class_names[k]);
        look->set_class[k] = found;
        if (found < 0 || model->class_unused[k])
            continue;
        look->model_class[found] = k;
        shared++;
    }
    if (shared == 0)
        return det_fail(env, DET_STATUS_MISMATCH,
                        "review: the model and the data set have no class in common: the model's "
                        "first is `%s`, the set's `%s`",
                        model->class_names[0], set->classes.count > 0 ? set->classes.paths[0] : "");
    return DET_OK;
}

det_status det_look_open(struct det_env *env, det_context *context, const det_model *model,
                         const struct det_annotations *set, struct det_look *look)
{
    det_detector_settings settings;
    det_status status = DET_OK;
    *look = (struct det_look){.model = model, .raw = {.struct_size = sizeof look->raw}};
    DET_TRY(match_classes(env, model, set, look));
    det_detector_settings_default(&settings);
    settings.keep_outputs = 1;
    /* What is found is sorted out here, class by class side by side. */
    settings.score_threshold = 1;
    DET_TRY(det_detector_create(context, model, &settings, &look->detector));
    return DET_OK;
fail:
    det_look_close(env, look);
    return status;
}

void det_look_close(struct det_env *env, struct det_look *look)
{
    det_detector_destroy(&look->detector);
    det_image_free(env, &look->pixels);
    det_free(env, &look->set_class);
    det_free(env, &look->model_class);
    det_free(env, &look->seen);
    det_free(env, &look->found);
}

static const float *logits_of(const struct det_look *look, int32_t anchor)
{
    return look->raw.logits + (size_t)anchor * ((size_t)look->raw.class_count + 1) + 1;
}

float det_look_score(const struct det_look *look, const struct det_sighted *seen,
                     int32_t class_index)
{
    const int32_t k = class_index >= 0 ? look->model_class[class_index] : -1;
    return k >= 0 ? det_sigmoid(logits_of(look, seen->anchor)[k]) : 0;
}

/* The box of an anchor as shares of the picture; false: it has no area there. */
static bool place_of(const struct det_look *look, int32_t anchor, float box[4])
{
    const struct det_model_spec *spec = &look->model->spec;
    const struct det_box_coder coder = {spec->y_scale, spec->x_scale, spec->height_scale,
                                        spec->width_scale};
    const float *window = look->raw.window;
    det_box_decode(&coder, look->raw.encodings + (size_t)anchor * 4,
                   look->raw.anchors + (size_t)anchor * 4, box);
    for (int c = 0; c < 4; c++) {
        box[c] = (box[c] - window[c % 2]) / (window[2 + c % 2] - window[c % 2]);
        box[c] = fminf(fmaxf(box[c], 0), 1);
    }
    return box[2] > box[0] && box[3] > box[1];
}

static det_status take_seen(struct det_env *env, struct det_look *look)
{
    const float least = logf(SEEN_FROM / (1 - SEEN_FROM));
    look->seen_count = 0;
    for (int32_t a = 0; a < look->raw.anchor_count; a++) {
        const float *logits = logits_of(look, a);
        struct det_sighted s = {.anchor = a, .class_index = -1};
        float best = least;
        for (int32_t k = 0; k < look->raw.class_count; k++)
            if (logits[k] > best && look->set_class[k] >= 0) {
                best = logits[k];
                s.class_index = look->set_class[k];
            }
        if (s.class_index < 0 || !place_of(look, a, s.box))
            continue;
        s.score = det_sigmoid(best);
        DET_TRY_RETURN(det_grow(env, &look->seen, &look->seen_capacity, look->seen_count + 1,
                                sizeof *look->seen, "detections"));
        look->seen[look->seen_count++] = s;
    }
    return DET_OK;
}

static int by_score(const void *a, const void *b)
{
    const struct det_sighted *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score)
                                : (x->anchor > y->anchor) - (x->anchor < y->anchor);
}

static det_status take_found(struct det_env *env, struct det_look *look)
{
    DET_TRY_RETURN(det_grow(env, &look->found, &look->found_capacity, MOST_FOUND,
                            sizeof *look->found, "detections"));
    look->found_count = 0;
    if (look->seen_count > 1)
        qsort(look->seen, look->seen_count, sizeof *look->seen, by_score);
    for (size_t i = 0; i < look->seen_count && look->found_count < MOST_FOUND; i++) {
        bool hidden = false;
        for (size_t k = 0; k < look->found_count && !hidden; k++)
            hidden = det_box_iou(look->seen[i].box, look->found[k].box) > SAME_PLACE;
        if (!hidden)
            look->found[look->found_count++] = look->seen[i];
    }
    return DET_OK;
}

/* --- features --- */

/* What the heads give at an anchor: the background's logit, the surest class's, the encodings. */
static void outputs_at(const struct det_look *look, int32_t anchor, float outputs[])
{
    const float *logits = logits_of(look, anchor);
    float most = logits[0];
    for (int32_t k = 1; k < look->raw.class_count; k++)
        most = fmaxf(most, logits[k]);
    outputs[0] = logits[-1];
    outputs[1] = most;
    memcpy(outputs + 2, look->raw.encodings + (size_t)anchor * 4, 4 * sizeof *outputs);
}

/* Sums over the anchors of a level, which lie row by row, shape by shape. */
static void take_level(const struct det_look *look, int32_t first, int32_t end, int32_t shapes,
                       float *features)
{
    enum { SUMS = DET_FEATURE_OUTPUTS * DET_FEATURE_SHAPES };
    double sums[SUMS] = {0}, squares[SUMS] = {0};
    for (int32_t a = first; a < end; a++) {
        const int32_t shape = (a - first) % shapes % DET_FEATURE_SHAPES;
        float outputs[DET_FEATURE_OUTPUTS];
        outputs_at(look, a, outputs);
        for (int o = 0; o < DET_FEATURE_OUTPUTS; o++) {
            sums[shape * DET_FEATURE_OUTPUTS + o] += (double)outputs[o];
            squares[shape * DET_FEATURE_OUTPUTS + o] += (double)outputs[o] * (double)outputs[o];
        }
    }
    const double places = fmax(1, (double)(end - first) / shapes);
    for (int i = 0; i < SUMS; i++) {
        const double mean = sums[i] / places;
        features[2 * i] = (float)mean;
        features[2 * i + 1] = (float)sqrt(fmax(0, squares[i] / places - mean * mean));
    }
}

static void take_features(const struct det_look *look, float *features)
{
    const struct det_model_spec *spec = &look->model->spec;
    const int32_t shapes = det_model_spec_anchors_per_cell(spec);
    memset(features, 0, DET_FEATURES * sizeof *features);
    int32_t first = 0;
    for (int32_t l = 0; l <= spec->max_level - spec->min_level && l < DET_FEATURE_LEVELS; l++) {
        const int32_t level = spec->min_level + l, pad = spec->pad_to_multiple;
        const int32_t end = first + det_anchor_grid_side(spec->input_height, pad, level) *
                                        det_anchor_grid_side(spec->input_width, pad, level) *
                                        shapes;
        if (end > look->raw.anchor_count)
            return;
        take_level(look, first, end, shapes, features + l * (DET_FEATURES / DET_FEATURE_LEVELS));
        first = end;
    }
}

det_status det_look_at(struct det_env *env, struct det_look *look,
                       const struct det_annotations *set, const struct det_labelled_image *image,
                       float *features)
{
    const det_detection *detections = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_labelled_image_load(env, set, image, &look->pixels));
    const det_image_view view = {.pixels = look->pixels.rgb,
                                 .width = look->pixels.width,
                                 .height = look->pixels.height,
                                 .format = DET_PIXEL_RGB8};
    DET_TRY_RETURN(det_detector_run(look->detector, &view, &detections, &count));
    DET_TRY_RETURN(det_detector_outputs(look->detector, 0, &look->raw));
    DET_TRY_RETURN(take_seen(env, look));
    DET_TRY_RETURN(take_found(env, look));
    if (features != NULL)
        take_features(look, features);
    return DET_OK;
}
