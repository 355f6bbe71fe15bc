#include "common/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/console.h"
#include "common/evaluation_report.h"

static void format_duration(char buffer[32], double seconds)
{
    const int64_t whole = seconds > 0 ? (int64_t)seconds : 0;
    if (whole >= 3600)
        snprintf(buffer, 32, "%" PRId64 "h%02dm", whole / 3600, (int)(whole / 60 % 60));
    else
        snprintf(buffer, 32, "%dm%02ds", (int)(whole / 60), (int)(whole % 60));
}

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

static void show_progress(const struct progress *p, const det_step_report *r)
{
    char left[32];
    if (r->num_steps < INT64_MAX)
        format_duration(left, seconds_left(p, r));
    else
        snprintf(left, sizeof left, "no end");
    console_progress(
        "%lld/%lld  %.1f img/s  loss %.3f (loc %.3f cls %.3f reg %.3f)  lr %.5f  data wait "
        "%.0f%%  ETA %s",
        (long long)r->step, (long long)r->num_steps, r->images / p->rate, r->total_loss,
        r->localization_loss, r->classification_loss, r->regularization_loss, r->learning_rate,
        100 * p->all_wait_seconds / p->all_seconds, left);
}

static void take_in_step(struct progress *p, const det_step_report *r)
{
    p->steps++;
    p->seconds += r->step_seconds;
    p->all_steps++;
    p->all_seconds += r->step_seconds;
    p->all_wait_seconds += r->data_wait_seconds;
    p->rate = p->all_steps == 1 ? r->step_seconds : 0.95 * p->rate + 0.05 * r->step_seconds;
    show_progress(p, r);
    if (r->step % p->log_every != 0)
        return;
    /* The API's own line. */
    console_print("Step %lld per-step time %.3fs loss=%.3f\n", (long long)r->step,
                  p->seconds / (double)p->steps, r->total_loss);
    p->steps = 0;
    p->seconds = 0;
}

static void take_in_evaluation(struct progress *p, const det_step_report *r)
{
    p->evaluations++;
    p->eval_seconds += r->eval_seconds;
    det_status status = DET_OK;
    if (r->api_evaluation != NULL)
        status = evaluation_print(r->api_evaluation, EVALUATION_API, r->step, "between steps");
    if (status == DET_OK)
        status = evaluation_print(r->evaluation,
                                  r->api_evaluation != NULL ? EVALUATION_EXPORTED : EVALUATION_ONLY,
                                  r->step, r->is_best ? "best so far" : "between steps");
    if (p->status == DET_OK)
        p->status = status;
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
    if (p->all_steps > 0)
        tool_log(
            p->tool, DET_LOG_INFO,
            "%lld steps, mean %.3f s a step, %.1f%% of it waiting for data, peak memory %.0f MB",
            (long long)p->all_steps, p->all_seconds / (double)p->all_steps,
            100 * p->all_wait_seconds / p->all_seconds, tool_peak_mb());
    if (p->evaluations > 0)
        tool_log(p->tool, DET_LOG_INFO, "%lld evaluations, mean %.3f s", (long long)p->evaluations,
                 p->eval_seconds / (double)p->evaluations);
}

int progress_evaluating(void *user, int64_t done, int64_t total)
{
    (void)user;
    console_progress("pictures %lld/%lld", (long long)done, (long long)total);
    return tool_interrupted();
}
