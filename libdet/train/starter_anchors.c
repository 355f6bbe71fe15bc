/* starter_anchors.c: anchors for the boxes of a set. The head keeps its shape, three aspect ratios
 * and two scales an octave, so that weights of the zoo still fit; what is chosen is which ratios
 * and how large. A box counts as covered when an anchor on its place in the grid has an IoU of .5:
 * what training matches without forcing. */
#include <math.h>
#include <string.h>

#include "model/spec_anchors.h"
#include "model/targets.h"
#include "support/mem.h"
#include "train/starter.h"

/* More boxes tell nothing new. */
#define MOST_BOXES 2000
/* The zoo's anchors stay where they cover half of the boxes: forced matches serve the rest, and a
 * set that others covered better was learnt worse with them (docs/recipes.md). */
#define ENOUGH  0.5
#define CLEARLY 0.05

struct fit {
    double covered, mean;
};

static det_status measure(struct det_env *env, const struct det_starter_data *data,
                          const struct det_model_spec *spec, struct fit *fit)
{
    float(*anchors)[4] = NULL;
    int32_t count = 0;
    size_t looked_at = 0;
    const size_t stride = data->boxes / MOST_BOXES + 1;
    *fit = (struct fit){0};
    DET_TRY_RETURN(det_spec_anchors(env, spec, &anchors, &count));
    for (size_t i = 0; i < data->boxes; i += stride, looked_at++) {
        float best = 0;
        for (int32_t a = 0; a < count; a++) {
            const float iou = det_box_iou(data->shares[i], (const float *)anchors[a]);
            best = iou > best ? iou : best;
        }
        fit->covered += best >= 0.5f;
        fit->mean += (double)best;
    }
    fit->covered /= (double)looked_at;
    fit->mean /= (double)looked_at;
    det_free(env, &anchors);
    return DET_OK;
}

static double at_share(const double *rising, size_t count, double share)
{
    return rising[(size_t)(share * (double)(count - 1))];
}

/* Two digits are enough, and read well. */
static float rounded(double ratio)
{
    return (float)(round(ratio * 20) / 20 > 0.05 ? round(ratio * 20) / 20 : 0.05);
}

/* Usual, wide and thin boxes, `spread` apart at least: those of sets whose boxes have one shape
 * too. */
static void ratios_of(const struct det_starter_data *data, double spread, float ratios[3])
{
    const double thin = at_share(data->aspects, data->boxes, 0.1);
    const double usual = at_share(data->aspects, data->boxes, 0.5);
    const double wide = at_share(data->aspects, data->boxes, 0.9);
    ratios[0] = rounded(usual);
    ratios[1] = rounded(wide > usual * spread ? wide : usual * spread);
    ratios[2] = rounded(thin < usual / spread ? thin : usual / spread);
}

/* Takes `spec` when it covers clearly more than the zoo's, and more than the best so far. */
static det_status try_one(struct det_env *env, const struct det_starter_data *data,
                          const struct det_model_spec *spec, const struct fit *usual,
                          struct det_model_spec *best, struct fit *best_fit)
{
    struct fit fit;
    DET_TRY_RETURN(measure(env, data, spec, &fit));
    if (fit.covered < usual->covered + CLEARLY || fit.covered < best_fit->covered ||
        (fit.covered == best_fit->covered && fit.mean <= best_fit->mean))
        return DET_OK;
    *best = *spec;
    *best_fit = fit;
    return DET_OK;
}

det_status det_starter_choose_anchors(struct det_env *env, const struct det_starter_data *data,
                                      det_starter_choices *choices)
{
    static const float scales[] = {4, 3, 2};
    static const double spreads[] = {1.5, 2};
    struct det_model_spec zoo, spec, best;
    struct fit usual, best_fit;
    det_model_spec_default(&zoo, choices->input_px, 1);
    DET_TRY_RETURN(measure(env, data, &zoo, &usual));
    best = spec = zoo;
    best_fit = usual;
    for (size_t s = 0; usual.covered < ENOUGH && s < sizeof scales / sizeof *scales; s++) {
        spec.anchor_scale = scales[s];
        memcpy(spec.aspects, zoo.aspects, sizeof zoo.aspects);
        DET_TRY_RETURN(try_one(env, data, &spec, &usual, &best, &best_fit));
        for (size_t r = 0; r < sizeof spreads / sizeof *spreads; r++) {
            ratios_of(data, spreads[r], spec.aspects);
            DET_TRY_RETURN(try_one(env, data, &spec, &usual, &best, &best_fit));
        }
    }
    choices->anchor_scale = (double)best.anchor_scale;
    for (int i = 0; i < 3; i++)
        choices->aspect_ratios[i] = (double)best.aspects[i];
    choices->covered = best_fit.covered;
    choices->covered_by_default = usual.covered;
    return DET_OK;
}
