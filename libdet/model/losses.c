#include "model/losses.h"

#include <math.h>
#include <string.h>

#include "model/class_terms.h"
#include "support/mem.h"

/* Anchors (of all images, in one row) a task sums up. */
#define CHUNK 1024
/* Logits whose losses are computed at once. */
#define TERMS 512

struct det_losses {
    struct det_loss_settings settings;
    int32_t images_max, anchor_count, class_count;
    double *localization_partial, *classification_partial;
    /* Of each anchor, only with hard examples. */
    float *localization, *classification, *order_by; /* losses, and the one that decides */
    float (*boxes)[4];
    uint8_t *selected;
    struct det_hard_example_space space;
    double normalizer; /* 0: what the targets say */
};

void det_loss_settings_default(struct det_loss_settings *settings)
{
    *settings = (struct det_loss_settings){
        .class_loss = DET_CLASS_LOSS_SIGMOID_FOCAL,
        .focal_gamma = 2,
        .focal_has_alpha = true,
        .focal_alpha = 0.25f,
        .huber_delta = 1,
        .localization_weight = 1,
        .classification_weight = 1,
        .normalize_loss_by_num_matches = true,
        .normalize_loc_loss_by_codesize = true,
        .encode_background_as_zeros = true,
    };
}

det_status det_loss_settings_check(struct det_env *env, const struct det_loss_settings *settings)
{
    if (!(settings->huber_delta > 0) || !(settings->focal_gamma >= 0) ||
        !isfinite(settings->huber_delta) || !isfinite(settings->focal_gamma))
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT,
            "losses: got delta %g (expected > 0), gamma %g (expected >= 0), both finite",
            (double)settings->huber_delta, (double)settings->focal_gamma);
    return det_hard_example_settings_check(env, &settings->hard_examples);
}

static det_status reserve_hard_examples(struct det_env *env, struct det_losses *l, size_t rows)
{
    DET_TRY_RETURN(det_alloc(env, &l->localization, rows, sizeof(float), "hard examples"));
    DET_TRY_RETURN(det_alloc(env, &l->classification, rows, sizeof(float), "hard examples"));
    DET_TRY_RETURN(det_alloc(env, &l->order_by, rows, sizeof(float), "hard examples"));
    DET_TRY_RETURN(det_alloc(env, &l->boxes, rows, sizeof *l->boxes, "hard examples"));
    DET_TRY_RETURN(det_alloc(env, &l->selected, rows, 1, "hard examples"));
    DET_TRY_RETURN(det_alloc(env, &l->space.keys, rows, sizeof(uint64_t), "hard examples"));
    DET_TRY_RETURN(det_alloc(env, &l->space.taken, rows, 4 * sizeof(float), "hard examples"));
    return det_alloc(env, &l->space.order, rows, sizeof(int32_t), "hard examples");
}

det_status det_losses_create(struct det_env *env, const struct det_loss_settings *settings,
                             int32_t images_max, int32_t anchor_count, int32_t class_count,
                             struct det_losses **out)
{
    *out = NULL;
    if (images_max < 1 || anchor_count < 1 || class_count < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "losses: got %d images, %d anchors, %d classes, expected at least 1 each",
                        images_max, anchor_count, class_count);
    DET_TRY_RETURN(det_loss_settings_check(env, settings));
    det_status status = DET_OK;
    struct det_losses *losses = NULL;
    DET_TRY_RETURN(det_alloc(env, &losses, 1, sizeof *losses, "losses"));
    losses->settings = *settings;
    losses->images_max = images_max;
    losses->anchor_count = anchor_count;
    losses->class_count = class_count;
    const size_t rows = (size_t)images_max * (size_t)anchor_count;
    const size_t chunks = (rows + CHUNK - 1) / CHUNK;
    if (chunks > INT32_MAX) {
        status =
            det_fail(env, DET_STATUS_INVALID_ARGUMENT, "losses: %zu anchors are too many", rows);
        goto fail;
    }
    DET_TRY(det_alloc(env, &losses->localization_partial, chunks, sizeof(double), "losses"));
    DET_TRY(det_alloc(env, &losses->classification_partial, chunks, sizeof(double), "losses"));
    if (settings->hard_examples.enabled)
        DET_TRY(reserve_hard_examples(env, losses, rows));
    *out = losses;
    return DET_OK;
fail:
    det_losses_destroy(env, &losses);
    return status;
}

void det_losses_destroy(struct det_env *env, struct det_losses **out)
{
    if (*out == NULL)
        return;
    det_free(env, &(*out)->localization_partial);
    det_free(env, &(*out)->classification_partial);
    det_free(env, &(*out)->localization);
    det_free(env, &(*out)->classification);
    det_free(env, &(*out)->order_by);
    det_free(env, &(*out)->boxes);
    det_free(env, &(*out)->selected);
    det_free(env, &(*out)->space.keys);
    det_free(env, &(*out)->space.taken);
    det_free(env, &(*out)->space.order);
    det_free(env, out);
}

struct job {
    const struct det_losses *losses;
    const struct det_targets *targets;
    const float *logits, *encodings;
    float *logit_gradients, *encoding_gradients;
    size_t rows;
    float localization_scale, classification_scale;
};

float det_huber_loss(float delta, const float encoding[4], const float target[4], float gradient[4])
{
    float sum = 0;
    for (int k = 0; k < 4; k++) {
        const float error = isnan(target[k]) ? 0 : encoding[k] - target[k];
        const float size = fabsf(error);
        if (size <= delta) {
            sum += 0.5f * size * size;
            gradient[k] = error;
        } else { /* NaN too: it must show */
            sum += delta * (size - 0.5f * delta);
            gradient[k] = error > 0 ? delta : error < 0 ? -delta : error;
        }
    }
    return sum;
}

/* Loss of one logit. With s = -x for target 1, s = x for target 0, p = sigmoid(s):
 * cross entropy = softplus(s), derivative p; focal = p^gamma softplus(s), derivative
 * p^gamma (gamma (1 - p) softplus(s) + p); dx = -ds for target 1. exp() only of numbers <= 0:
 * nothing overflows. */
static float class_term(const struct det_loss_settings *settings, float x, bool positive,
                        float *gradient)
{
    const float s = positive ? -x : x;
    const float e = expf(-fabsf(s)), inverse = 1 / (1 + e);
    const float p = s >= 0 ? inverse : e * inverse;
    const float softplus = (s > 0 ? s : 0) + log1pf(e);
    float loss = softplus, slope = p;
    if (settings->class_loss == DET_CLASS_LOSS_SIGMOID_FOCAL) {
        const float gamma = settings->focal_gamma;
        const float not_p = s >= 0 ? e * inverse : inverse;
        float factor = gamma == 2 ? p * p : powf(p, gamma);
        if (settings->focal_has_alpha)
            factor *= positive ? settings->focal_alpha : 1 - settings->focal_alpha;
        loss = factor * softplus;
        slope = factor * (gamma * not_p * softplus + p);
    }
    *gradient = positive ? -slope : slope;
    return loss;
}

/* Losses and slopes of `count` logits as if every target were 0. */
static void background_terms(const struct det_loss_settings *settings, const float *logits,
                             int32_t count, float losses[TERMS], float slopes[TERMS])
{
    if (det_class_terms_serve(settings)) {
        det_class_terms(settings, logits, count, losses, slopes);
        return;
    }
    for (int32_t i = 0; i < count; i++)
        losses[i] = class_term(settings, logits[i], false, &slopes[i]);
}

void det_class_losses(const struct det_loss_settings *settings, const float *logits,
                      const uint8_t *positive, size_t count, float *losses, float *gradients)
{
    float of_piece[TERMS], slopes[TERMS];
    for (size_t from = 0; from < count; from += TERMS) {
        const size_t piece = count - from < TERMS ? count - from : TERMS;
        background_terms(settings, logits + from, (int32_t)piece, of_piece, slopes);
        for (size_t i = 0; i < piece; i++)
            if (positive[from + i] != 0)
                of_piece[i] = class_term(settings, logits[from + i], true, &slopes[i]);
        memcpy(losses + from, of_piece, piece * sizeof *losses);
        if (gradients != NULL)
            memcpy(gradients + from, slopes, piece * sizeof *gradients);
    }
}

/* The column of an anchor's target; -1: there is none. */
static int32_t target_column(const struct job *job, size_t anchor)
{
    const int32_t column = job->targets->class_index[anchor] + 1;
    return column == 0 && job->losses->settings.encode_background_as_zeros ? -1 : column;
}

/* Classification of the anchors begin..end-1: their logits as one row, cut into pieces whatever the
 * number of columns. */
static double classify(const struct job *job, size_t begin, size_t end)
{
    const struct det_losses *l = job->losses;
    const int32_t columns = l->class_count + 1;
    const size_t last = end * (size_t)columns;
    float losses[TERMS], slopes[TERMS];
    double sum = 0;
    float of_anchor = 0;
    size_t anchor = begin;
    int32_t column = 0;
    for (size_t from = begin * (size_t)columns; from < last; from += TERMS) {
        const float *logits = job->logits + from;
        const int32_t count = (int32_t)(last - from < TERMS ? last - from : TERMS);
        background_terms(&l->settings, logits, count, losses, slopes);
        for (int32_t i = 0, stop = 0; i < count; i = stop) {
            const float weight = job->targets->class_weight[anchor];
            const int32_t target = i + target_column(job, anchor) - column;
            stop = i + columns - column < count ? i + columns - column : count;
            if (target >= i && target < stop)
                losses[target] = class_term(&l->settings, logits[target], true, &slopes[target]);
            for (int32_t k = i; k < stop; k++) {
                sum += (double)(weight * losses[k]);
                of_anchor += weight * losses[k];
            }
            if (job->logit_gradients != NULL)
                for (int32_t k = i; k < stop; k++)
                    job->logit_gradients[from + (size_t)k] =
                        weight * slopes[k] * job->classification_scale;
            column += stop - i;
            if (column == columns) {
                if (l->classification != NULL)
                    l->classification[anchor] = of_anchor;
                of_anchor = 0;
                column = 0;
                anchor++;
            }
        }
    }
    return sum;
}

static void loss_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_losses *losses = job->losses;
    const struct det_targets *targets = job->targets;
    const size_t begin = (size_t)task * CHUNK;
    const size_t end = begin + CHUNK < job->rows ? begin + CHUNK : job->rows;
    double localization = 0;
    for (size_t i = begin; i < end; i++) {
        float slope[4];
        const float box_weight = targets->box_weight[i];
        const float loss =
            box_weight * det_huber_loss(losses->settings.huber_delta, job->encodings + 4 * i,
                                        targets->encodings[i], slope);
        localization += (double)loss;
        if (job->encoding_gradients != NULL)
            for (size_t k = 0; k < 4; k++)
                job->encoding_gradients[4 * i + k] =
                    box_weight * slope[k] * job->localization_scale;
        if (losses->localization != NULL)
            losses->localization[i] = loss;
    }
    losses->localization_partial[task] = localization;
    losses->classification_partial[task] = classify(job, begin, end);
}

/* Selection of one image. */
static void mine_task(void *argument, int32_t image, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_losses *l = job->losses;
    const struct det_loss_settings *s = &l->settings;
    const int32_t anchors = l->anchor_count;
    const size_t begin = (size_t)image * (size_t)anchors;
    for (int32_t a = 0; a < anchors; a++) {
        const size_t i = begin + (size_t)a;
        const float localization = l->localization[i], classification = l->classification[i];
        l->order_by[i] =
            s->hard_examples.by == DET_HARD_EXAMPLES_BY_CLASSIFICATION ? classification
            : s->hard_examples.by == DET_HARD_EXAMPLES_BY_LOCALIZATION
                ? localization
                : classification * s->classification_weight + localization * s->localization_weight;
        det_box_decode(&job->targets->settings.coder, job->encodings + 4 * i,
                       job->targets->anchors[a], l->boxes[i]);
    }
    struct det_hard_example_space space = {.keys = l->space.keys + begin,
                                           .taken = l->space.taken + begin,
                                           .order = l->space.order + begin};
    det_hard_examples_select(&s->hard_examples, anchors, (const float(*)[4])(l->boxes + begin),
                             l->order_by + begin, job->targets->matched + begin, &space,
                             l->selected + begin);
}

/* Sums the selected anchors of a chunk again and takes the others' gradients back. */
static void keep_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct det_losses *l = job->losses;
    const size_t columns = (size_t)l->class_count + 1;
    const size_t begin = (size_t)task * CHUNK;
    const size_t end = begin + CHUNK < job->rows ? begin + CHUNK : job->rows;
    double localization = 0, classification = 0;
    for (size_t i = begin; i < end; i++) {
        if (l->selected[i] != 0) {
            localization += (double)l->localization[i];
            classification += (double)l->classification[i];
            continue;
        }
        for (size_t k = 0; k < 4 && job->encoding_gradients != NULL; k++)
            job->encoding_gradients[4 * i + k] = 0;
        for (size_t c = 0; c < columns && job->logit_gradients != NULL; c++)
            job->logit_gradients[columns * i + c] = 0;
    }
    l->localization_partial[task] = localization;
    l->classification_partial[task] = classification;
}

void det_losses_divide_by(struct det_losses *losses, double normalizer)
{
    losses->normalizer = normalizer;
}

det_status det_losses_compute(struct det_env *env, struct det_losses *losses, struct det_pool *pool,
                              const struct det_targets *targets, const float *logits,
                              const float *encodings, struct det_loss_values *values,
                              float *logit_gradients, float *encoding_gradients)
{
    *values = (struct det_loss_values){NAN, NAN, NAN};
    if (targets->anchor_count != losses->anchor_count ||
        targets->class_count != losses->class_count || targets->images < 1 ||
        targets->images > losses->images_max)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "losses: targets of %d images, %d anchors, %d classes; made for up to %d, "
                        "%d, %d",
                        targets->images, targets->anchor_count, targets->class_count,
                        losses->images_max, losses->anchor_count, losses->class_count);
    const struct det_loss_settings *settings = &losses->settings;
    double normalizer = 1;
    if (losses->normalizer > 0)
        normalizer = losses->normalizer;
    else if (settings->normalize_loss_by_num_matches && targets->box_weight_sum > 1)
        normalizer = targets->box_weight_sum;
    const double code_size = settings->normalize_loc_loss_by_codesize ? 4 : 1;
    const double localization_scale =
        (double)settings->localization_weight / (normalizer * code_size);
    const double classification_scale = (double)settings->classification_weight / normalizer;
    struct job job = {
        .losses = losses,
        .targets = targets,
        .logits = logits,
        .encodings = encodings,
        .logit_gradients = logit_gradients,
        .encoding_gradients = encoding_gradients,
        .rows = (size_t)targets->images * (size_t)targets->anchor_count,
        .localization_scale = (float)localization_scale,
        .classification_scale = (float)classification_scale,
    };
    const int32_t tasks = (int32_t)((job.rows + CHUNK - 1) / CHUNK);
    det_pool_run(pool, tasks, loss_task, &job);
    if (settings->hard_examples.enabled) {
        det_pool_run(pool, targets->images, mine_task, &job);
        det_pool_run(pool, tasks, keep_task, &job);
    }
    double localization = 0, classification = 0;
    for (int32_t t = 0; t < tasks; t++) {
        localization += losses->localization_partial[t];
        classification += losses->classification_partial[t];
    }
    values->localization = localization * localization_scale;
    values->classification = classification * classification_scale;
    values->normalizer = normalizer;
    return DET_OK;
}
