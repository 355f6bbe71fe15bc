#include "common/watch.h"

#include <math.h>
#include <time.h>

#include "common/console.h"
#include "common/countdown.h"
#include "support/clock.h"

static void sleep_a_moment(void)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    nanosleep(&pause, NULL);
}

/* Evaluates those of a rising list with a step above `after`. */
static int evaluate_after(const struct checkpoint_watch *watch, const det_checkpoint_info *list,
                          size_t count, int64_t after)
{
    int result = 0;
    for (size_t i = 0; i < count && result == 0 && !tool_interrupted(); i++)
        if (list[i].step > after)
            result = watch->evaluate(watch->user, &list[i]);
    return result;
}

static int evaluate_newest(struct tool *tool, const struct checkpoint_watch *watch)
{
    det_checkpoint_info found;
    const det_status status = det_checkpoint_find(tool->context, watch->folder, &found);
    return status == DET_OK ? watch->evaluate(watch->user, &found) : tool_fail(tool, status);
}

static int evaluate_all(struct tool *tool, const struct checkpoint_watch *watch)
{
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    const det_status status = det_checkpoint_list(tool->context, watch->folder, &list, &count);
    if (status != DET_OK)
        return tool_fail(tool, status);
    const int result = count == 0 ? tool_error(tool, "%s: no checkpoint here", watch->folder)
                                  : evaluate_after(watch, list, count, -1);
    det_checkpoint_list_destroy(tool->context, &list);
    return result;
}

/* One look into the folder. *last: the highest step seen so far, -1 before the first; *found: there
 * was something new. */
static int look(struct tool *tool, const struct checkpoint_watch *watch, int64_t *last, bool *found)
{
    det_checkpoint_info *list = NULL;
    size_t count = 0;
    *found = false;
    const det_status status = det_checkpoint_list(tool->context, watch->folder, &list, &count);
    if (status != DET_OK) /* a folder that is not there yet will be made by the training */
        return status == DET_STATUS_NOT_FOUND ? 0 : tool_fail(tool, status);
    int result = 0;
    const int64_t newest = count > 0 ? list[count - 1].step : -1;
    if (newest >= 0 && newest != *last) {
        /* The first time the newest alone; a lower step than before: a training begun anew. */
        const int64_t after = *last < 0 ? newest - 1 : newest < *last ? -1 : *last;
        *last = newest;
        *found = true;
        result = evaluate_after(watch, list, count, after);
    }
    det_checkpoint_list_destroy(tool->context, &list);
    return result;
}

/* Nothing is to be waited for: a training of libdet's owns its folder, so its
 * checkpoints without an owner are those of one that has ended or was ended; TensorFlow's have no
 * owner and may go on until the last step. Before the first checkpoint the training is still to
 * begin. */
static bool is_over(struct tool *tool, const struct checkpoint_watch *watch)
{
    det_checkpoint_info newest;
    int running = 0;
    if (!isnan(watch->timeout_seconds) ||
        det_trainer_is_running(tool->context, watch->folder, &running) != DET_OK || running ||
        det_checkpoint_find(tool->context, watch->folder, &newest) != DET_OK)
        return false;
    return !newest.is_tensorflow || (watch->last_step > 0 && newest.step >= watch->last_step);
}

/* What it waits for and how long. */
static void announce(struct tool *tool, const struct checkpoint_watch *watch, double timeout)
{
    char most[DURATION_BYTES];
    duration_text(most, timeout);
    if (isnan(watch->timeout_seconds))
        tool_log(tool, DET_LOG_INFO,
                 "%s: evaluating the newest checkpoint, then waiting for new ones, until no "
                 "training runs there, at most %s for each (--eval_timeout SECONDS); --once ends "
                 "after the newest",
                 watch->folder, most);
    else
        tool_log(tool, DET_LOG_INFO,
                 "%s: evaluating the newest checkpoint, then waiting for new ones, at most %s for "
                 "each; --once ends after the newest",
                 watch->folder, most);
}

static void show_waiting(const struct checkpoint_watch *watch, double waited, double timeout)
{
    char so_far[DURATION_BYTES], most[DURATION_BYTES];
    console_progress("waiting %s of at most %s  for a new checkpoint in %s",
                     duration_text(so_far, waited), duration_text(most, timeout), watch->folder);
}

static int follow(struct tool *tool, const struct checkpoint_watch *watch)
{
    const double timeout =
        isnan(watch->timeout_seconds) ? WATCH_TIMEOUT_SECONDS : watch->timeout_seconds;
    int64_t last = -1;
    double since = det_clock_seconds();
    bool told = false;
    announce(tool, watch, timeout);
    while (!tool_interrupted()) {
        bool found = false;
        const bool over = is_over(tool, watch); /* asked before the look: nothing comes behind it */
        const int result = look(tool, watch, &last, &found);
        if (result != 0)
            return result;
        if (found) {
            since = det_clock_seconds();
            told = false;
            continue;
        }
        if (over) {
            tool_log(tool, DET_LOG_INFO, "no training is running in %s: done", watch->folder);
            break;
        }
        if (det_clock_seconds() - since > timeout) {
            tool_log(tool, DET_LOG_INFO, "no new checkpoint for %.0f s: done", timeout);
            break;
        }
        if (!told)
            tool_log(tool, DET_LOG_INFO, "waiting for a %s in %s",
                     last < 0 ? "first checkpoint" : "new checkpoint", watch->folder);
        told = true;
        /* The last look is when the time is over. */
        const double until =
            fmin(det_clock_seconds() + watch->interval_seconds, since + timeout + 0.01);
        while (det_clock_seconds() < until && !tool_interrupted()) {
            show_waiting(watch, det_clock_seconds() - since, timeout);
            sleep_a_moment();
        }
    }
    return 0;
}

int checkpoint_watch(struct tool *tool, const struct checkpoint_watch *watch)
{
    switch (watch->extent) {
    case WATCH_NEWEST:
        return evaluate_newest(tool, watch);
    case WATCH_ALL:
        return evaluate_all(tool, watch);
    case WATCH_FOLLOW:
        break;
    }
    return follow(tool, watch);
}
