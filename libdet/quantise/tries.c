/* tries.c: as long as the model that was chosen is not accepted, the other calibrations are made,
 * which are as fast as it is; then its layers that cost most go back to float32.
 *
 * A calibration is made twice, for its outputs' error and when its turn comes: to keep them all
 * would take the memory of 16 networks.
 */
#include <math.h>
#include <string.h>

#include "quantise/floats.h"
#include "quantise/quantise_parts.h"
#include "support/mem.h"

enum {
    GIVEN_BACK = 2, /* layers that go back to float32 at once */
    CALIBRATIONS = (DET_OBSERVER_SQUARES - DET_OBSERVER_MINMAX + 1) * 2 * 2,
};
/* A calibration whose outputs' error is so much larger than the least is not tried. */
#define HOPELESS 2.0

struct calibration {
    int32_t observer;
    bool equalised, biases_corrected;
    double score_error, box_error;
};

static struct calibration calibration_of(const struct det_quantised *q)
{
    return (struct calibration){q->observer, q->equalised, q->biases_corrected, q->score_error,
                                q->box_error};
}

static double error_of(const struct calibration *c)
{
    return fmax(c->score_error, c->box_error);
}

struct calibrations {
    struct calibration list[1 + CALIBRATIONS]; /* the one that was chosen, and the others */
    int32_t count;
};

struct tries {
    struct det_quantise_work *work;
    bool *eight_bits;               /* [operations]: convolutions that are to be */
    struct det_quantise_made *best; /* the one that was chosen, at last the one that is accepted */
    float *real;                    /* the places of the results */
    struct det_quantised **quantised;
    int count;
    bool accepted;
};

/* --- asking --- */

static det_status ask(struct tries *t, const struct det_quantise_made *made)
{
    const struct det_quantise_work *w = t->work;
    const struct det_quantise_job *job = w->job;
    int answer = 1;
    t->count++;
    if (job->accept != NULL) {
        memcpy(t->real, made->real, job->graph->param_floats * sizeof *t->real);
        *t->quantised = made->quantised;
        answer = job->accept(job->accept_user);
        *t->quantised = NULL;
    }
    t->accepted = answer > 0;
    return answer >= 0 ? DET_OK
                       : det_fail(w->env, DET_STATUS_CANCELLED, "quantisation was stopped");
}

/* The layers' errors are those of the first. */
static void inherit(const struct tries *t, struct det_quantise_made *made)
{
    memcpy(made->quantised->errors, t->best->quantised->errors,
           (size_t)t->work->job->graph->op_count * sizeof *made->quantised->errors);
}

/* --- calibrations --- */

static det_status make_calibration(struct det_quantise_work *w, const struct calibration *c,
                                   const bool *eight_bits, struct det_quantise_made *made)
{
    if (w->way.equalised != c->equalised)
        det_quantise_exchange_ways(w);
    struct det_ranges_choice choice = det_quantise_choice(w, c->observer, eight_bits);
    choice.correct_biases = c->biases_corrected;
    return det_quantise_make(w, &choice, made);
}

/* What gives the same outputs to the last bit is the same. */
static void add(struct calibrations *all, const struct calibration *c)
{
    int32_t at = all->count;
    for (int32_t i = 0; i < all->count; i++) {
        if (all->list[i].score_error == c->score_error && all->list[i].box_error == c->box_error)
            return;
    }
    for (; at > 1 && error_of(&all->list[at - 1]) > error_of(c); at--)
        all->list[at] = all->list[at - 1];
    all->list[at] = *c;
    all->count++;
}

static det_status find_one(struct det_quantise_work *w, const struct calibration *c,
                           const bool *eight_bits, struct calibrations *all)
{
    struct det_quantise_made made;
    DET_TRY_RETURN(make_calibration(w, c, eight_bits, &made));
    const struct calibration found = calibration_of(made.quantised);
    add(all, &found);
    det_quantise_forget(w, &made);
    return DET_OK;
}

static det_status find_observers(struct det_quantise_work *w, bool equalised, bool corrected,
                                 const bool *eight_bits, struct calibrations *all)
{
    const det_quantisation_observer asked = w->job->settings.observer;
    for (det_quantisation_observer o = DET_OBSERVER_MINMAX; o <= DET_OBSERVER_SQUARES; o++) {
        const struct calibration c = {
            .observer = (int32_t)o, .equalised = equalised, .biases_corrected = corrected};
        if (asked == DET_OBSERVER_AUTO || asked == o)
            DET_TRY_RETURN(find_one(w, &c, eight_bits, all));
    }
    return DET_OK;
}

/* All that the settings leave open, the nearest to float32 first, behind the one that is there. */
static det_status find(struct det_quantise_work *w, const bool *eight_bits,
                       struct calibrations *all)
{
    for (int equalised = 0; equalised < 2; equalised++) {
        if (w->way.equalised != equalised && w->other.observed == NULL)
            continue;
        DET_TRY_RETURN(find_observers(w, equalised, false, eight_bits, all));
        if (w->job->settings.correct_biases != 0)
            DET_TRY_RETURN(find_observers(w, equalised, true, eight_bits, all));
    }
    return DET_OK;
}

static det_status try_one(struct tries *t, const struct calibration *c)
{
    struct det_quantise_made made;
    DET_TRY_RETURN(make_calibration(t->work, c, t->eight_bits, &made));
    inherit(t, &made);
    const det_status status = ask(t, &made);
    if (t->accepted)
        det_quantise_exchange(t->best, &made);
    det_quantise_forget(t->work, &made);
    return status;
}

static det_status try_calibrations(struct tries *t)
{
    struct calibrations all = {.list = {calibration_of(t->best->quantised)}, .count = 1};
    DET_TRY_RETURN(find(t->work, t->eight_bits, &all));
    const double least = fmin(error_of(&all.list[0]), error_of(&all.list[all.count > 1]));
    for (int32_t i = 1; i < all.count && !t->accepted; i++) {
        if (error_of(&all.list[i]) > HOPELESS * least)
            break;
        DET_TRY_RETURN(try_one(t, &all.list[i]));
    }
    if (t->work->way.equalised != t->best->quantised->equalised)
        det_quantise_exchange_ways(t->work);
    return DET_OK;
}

/* --- layers in float32 --- */

/* The best one without the worst of the layers that are in 8 bits so far, and what goes back with
 * them. False in *done: with any more too much would be in float32. */
static det_status give_back(struct tries *t, bool *done)
{
    struct det_quantise_work *w = t->work;
    const struct det_quantised *best = t->best->quantised;
    struct det_quantise_made made;
    int32_t taken = 0;
    if (w->job->settings.floats == DET_QUANTISATION_FLOATS_AUTO)
        DET_TRY_RETURN(det_floats_take_worst(w->env, w->job->graph, best->errors, GIVEN_BACK,
                                             DET_QUANTISATION_MOST_FLOAT, t->eight_bits, &taken));
    *done = taken > 0;
    if (!*done)
        return DET_OK;
    const struct det_ranges_choice choice = det_quantise_choice(w, best->observer, t->eight_bits);
    DET_TRY_RETURN(det_quantise_make(w, &choice, &made));
    inherit(t, &made);
    det_quantise_exchange(t->best, &made);
    det_quantise_forget(w, &made);
    return DET_OK;
}

static det_status try_floats(struct tries *t)
{
    bool done = true;
    while (!t->accepted) {
        const double share = det_floats_share(t->work->job->graph, t->eight_bits);
        DET_TRY_RETURN(give_back(t, &done));
        if (!done)
            return det_fail(t->work->env, DET_STATUS_MISMATCH,
                            "no model was accepted: %d made, the last with %.0f %% of the "
                            "multiplications in float32",
                            t->count, 100 * share);
        DET_TRY_RETURN(ask(t, t->best));
    }
    return DET_OK;
}

/* --- the whole --- */

det_status det_quantise_convince(struct det_quantise_work *w, bool *eight_bits,
                                 struct det_quantise_made *best, float *real,
                                 struct det_quantised **quantised)
{
    const struct det_graph *g = w->job->graph;
    struct tries t = {w, eight_bits, best, real, quantised, 0, false};
    for (int32_t i = 0; i < g->op_count; i++)
        eight_bits[i] = best->quantised->eight_bits[i] && det_op_is_convolution(&g->ops[i]);
    DET_TRY_RETURN(ask(&t, best));
    if (!t.accepted)
        DET_TRY_RETURN(try_calibrations(&t));
    return try_floats(&t);
}
