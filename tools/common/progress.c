#include "common/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/console.h"
#include "common/evaluation_report.h"
#include "support/clock.h"

/* A log says at least so often that the training goes on. */
static const double most_silent_seconds = 60;

/* Steps and evaluations that are still to come; an evaluation that none was made of yet counts
 * nothing. */
static double seconds_left(const struct progress *p, const det_step_report *r)
{
    const int64_t steps = r->num_steps - r->step;
    double left = p->rate * (double)steps;
    if (p->eval_every > 0 && p->evaluations > 0) {
        const int64_t evaluations = r->num_steps / p->eval_every - r->step / p->eval_every;
        left += (double)evaluations * p->eval_seconds / (double)p->evaluations;
    }
    return left;
}

/* "ETA 1h05m  STEP" and "120/5000", of a training without an end "120". */
static void tell_place(const struct progress *p, const det_step_report *r, char eta[48],
                       char step[48])
{
    char left[DURATION_BYTES];
    const bool ends = r->num_steps < INT64_MAX;
    snprintf(eta, 48, "ETA %s", ends ? duration_text(left, seconds_left(p, r)) : "no end");
    if (ends)
        snprintf(step, 48, "%" PRId64 "/%" PRId64, r->step, r->num_steps);
    else
        snprintf(step, 48, "%" PRId64, r->step);
}

static void show_progress(const struct progress *p, const det_step_report *r)
{
    char eta[48], step[48];
    tell_place(p, r, eta, step);
    console_progress(
        "%s  %s  loss %.3f  %.1f img/s  loc %.3f cls %.3f reg %.3f  lr %.3g  data wait %.0f%%", eta,
        step, r->total_loss, r->images / p->rate, r->localization_loss, r->classification_loss,
        r->regularization_loss, r->learning_rate, 100 * p->all_wait_seconds / p->all_seconds);
}

/* A line of the log: it begins as TensorFlow's. */
static void log_step(const struct progress *p, const det_step_report *r)
{
    char eta[48], step[48];
    const double seconds = p->seconds / (double)p->steps;
    tell_place(p, r, eta, step);
    console_log("Step %" PRId64 " per-step time %.3fs loss=%.3f  %s  %s  %.1f img/s  "
                "localization=%.3f  classification=%.3f  regularization=%.3f  lr=%.3g",
                r->step, seconds, r->total_loss, step, eta, r->images / seconds,
                r->localization_loss, r->classification_loss, r->regularization_loss,
                r->learning_rate);
}

static void keep(struct progress *p, det_status status)
{
    if (p->status == DET_OK)
        p->status = status;
}

static void take_in_step(struct progress *p, const det_step_report *r)
{
    p->steps++;
    p->seconds += r->step_seconds;
    p->all_steps++;
    p->all_seconds += r->step_seconds;
    p->all_wait_seconds += r->data_wait_seconds;
    p->all_rank_wait_seconds += r->rank_wait_seconds;
    p->rate = p->all_steps == 1 ? r->step_seconds : 0.95 * p->rate + 0.05 * r->step_seconds;
    const bool due = p->all_steps == 1 || r->step % p->log_every == 0 || r->step == r->num_steps ||
                     det_clock_seconds() - p->logged_s >= most_silent_seconds;
    /* Whoever sees the progress line needs no log. */
    if (due && !(console_redraws() && console_output_width() > 0))
        log_step(p, r);
    if (due) {
        keep(p, progress_json_step(p->tool, &p->json, r, p->seconds / (double)p->steps,
                                   seconds_left(p, r)));
        p->steps = 0;
        p->seconds = 0;
        p->logged_s = det_clock_seconds();
    }
    if (console_redraws())
        show_progress(p, r);
}

static det_status keep_tables(struct progress *p, const det_step_report *r)
{
    struct det_env *env = &p->tool->env;
    if (p->tables_are_best && !r->is_best)
        return DET_OK;
    p->tables_are_best = r->is_best != 0;
    p->tables.length = 0;
    const char *from = r->is_best ? "best so far" : "between steps";
    if (r->api_evaluation != NULL)
        DET_TRY_RETURN(
            evaluation_text(env, &p->tables, r->api_evaluation, EVALUATION_API, r->step, from));
    return evaluation_text(env, &p->tables, r->evaluation,
                           r->api_evaluation != NULL ? EVALUATION_EXPORTED : EVALUATION_ONLY,
                           r->step, from);
}

static void take_in_evaluation(struct progress *p, const det_step_report *r)
{
    p->evaluations++;
    p->eval_seconds += r->eval_seconds;
    det_status status = evaluation_print_row(&(struct evaluation_row){.evaluation = r->evaluation,
                                                                      .api = r->api_evaluation,
                                                                      .step = r->step,
                                                                      .seconds = r->eval_seconds,
                                                                      .is_best = r->is_best != 0});
    if (status == DET_OK)
        status = keep_tables(p, r);
    if (status == DET_OK)
        status = progress_json_evaluation(p->tool, &p->json, r);
    keep(p, status);
}

void progress_step(struct progress *p, const det_step_report *r)
{
    if (r->images > 0)
        take_in_step(p, r);
    if (r->evaluation != NULL)
        take_in_evaluation(p, r);
}

void progress_sum(const struct progress *p)
{
    if (p->tables.length > 0)
        console_print_text(p->tables.data);
    if (p->all_steps > 0) {
        char ranks[60] = "";
        if (p->all_rank_wait_seconds > 0)
            snprintf(ranks, sizeof ranks, " and %.1f%% for other ranks",
                     100 * p->all_rank_wait_seconds / p->all_seconds);
        tool_log(
            p->tool, DET_LOG_INFO,
            "%lld steps, mean %.3f s a step, %.1f%% of it waiting for data%s, peak memory %.0f MB",
            (long long)p->all_steps, p->all_seconds / (double)p->all_steps,
            100 * p->all_wait_seconds / p->all_seconds, ranks, tool_peak_mb());
    }
    if (p->evaluations > 0)
        tool_log(p->tool, DET_LOG_INFO, "%lld evaluations, mean %.3f s", (long long)p->evaluations,
                 p->eval_seconds / (double)p->evaluations);
}

det_status progress_close(struct progress *p)
{
    det_text_free(&p->tool->env, &p->tables);
    return progress_json_close(p->tool, &p->json);
}
