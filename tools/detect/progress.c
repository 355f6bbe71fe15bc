#include "detect/progress.h"

#include "common/console.h"
#include "common/countdown.h"
#include "support/clock.h"

void progress_begin(struct progress *p, const struct pipeline_source *source)
{
    *p = (struct progress){.source = source, .begin_s = det_clock_seconds()};
    p->total = source->reader != NULL ? video_reader_info(source->reader)->frames
                                      : (int64_t)source->images->count;
}

void progress_frame(struct progress *p, const struct frame *frame)
{
    const double seconds = det_clock_seconds() - p->begin_s;
    const double rate = (double)++p->done / (seconds + 1e-9);
    const int64_t at = frame->index + 1; /* dropped frames are behind us as well */
    char left[DURATION_BYTES];
    if (p->total >= at && at > 0)
        console_progress("ETA %s  %lld/%lld  %.1f/s  %s",
                         duration_text(left, seconds / (double)at * (double)(p->total - at)),
                         (long long)at, (long long)p->total, rate, frame->source);
    else
        console_progress("frame %lld  %.1f/s  %s", (long long)at, rate, frame->source);
}

void progress_end(struct progress *p, struct tool *tool, int64_t dropped)
{
    console_progress_clear();
    if (p->source->live)
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
