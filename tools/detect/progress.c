#include "detect/progress.h"

#include <stdio.h>

#include "common/console.h"
#include "support/clock.h"

void progress_begin(struct progress *p, const struct pipeline_source *source, bool quiet)
{
    *p = (struct progress){.source = source, .quiet = quiet, .begin_s = det_clock_seconds()};
    p->total = source->reader != NULL ? video_reader_info(source->reader)->frames
                                      : (int64_t)source->images->count;
}

void progress_frame(struct progress *p, const struct frame *frame)
{
    const double now = det_clock_seconds();
    p->done++;
    if (p->quiet || (now - p->shown_s < 0.25 && p->done != p->total))
        return;
    p->shown_s = now;
    const double rate = (double)p->done / (now - p->begin_s + 1e-9);
    const int64_t at = frame->index + 1; /* dropped frames are behind us as well */
    char eta[48] = "";
    if (p->total >= at && at > 0) {
        const int left = (int)((now - p->begin_s) / (double)at * (double)(p->total - at) + 0.5);
        snprintf(eta, sizeof eta, "/%lld, %d:%02d left", (long long)p->total, left / 60, left % 60);
    }
    console_progress("%s: frame %lld%s, %.1f a second", frame->source, (long long)at, eta, rate);
}

void progress_end(struct progress *p, struct tool *tool, int64_t dropped)
{
    console_progress_clear();
    if (!p->quiet && p->source->live)
        tool_log(tool, DET_LOG_INFO, "%s: %lld frames shown, %lld dropped to stay in time",
                 p->source->video, (long long)p->done, (long long)dropped);
}

void progress_summary(struct tool *tool, const struct pipeline_totals *totals, int64_t detections,
                      double seconds)
{
    const double n = totals->frames > 0 ? (double)totals->frames : 1, *ms = totals->ms;
    tool_log(
        tool, DET_LOG_INFO,
        "%lld frame%s, %lld detection%s in %.2f s, %.1f a second; ms of work per frame: decode "
        "%.2f, preprocess %.2f, network %.2f, post-process %.2f, draw %.2f, write %.2f",
        (long long)totals->frames, totals->frames == 1 ? "" : "s", (long long)detections,
        detections == 1 ? "" : "s", seconds, (double)totals->frames / (seconds + 1e-9),
        ms[STAGE_DECODE] / n, ms[STAGE_PREPROCESS] / n, ms[STAGE_NETWORK] / n,
        ms[STAGE_POSTPROCESS] / n, ms[STAGE_DRAW] / n, ms[STAGE_WRITE] / n);
}
