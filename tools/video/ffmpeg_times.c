/* ffmpeg_times.c: times that go on where a file's start again.
 *
 * Recordings that were joined byte by byte (transport streams), counters that wrap and broken
 * writers make timestamps step back or leap. As FFmpeg's command without -copyts does, what follows
 * a step is moved so that it continues. Each stream meets the step in its own time, since packets
 * of the old part come late: the first one to meet it opens a new segment with an offset, the
 * others follow into it and so stay in sync with it. */
#include "support/mem.h"
#include "video/ffmpeg_parts.h"

/* The newest ones are kept, for streams that come late and for times that were wrong only once. */
enum { SEGMENTS = 16 };

/* FFmpeg's command has the same bounds: .1 s back is a step in any file, 10 s on in one whose
 * format may have steps, 30 hours in any other. */
#define STEP_BACK_US (AV_TIME_BASE / 10)
#define LEAP_US      (10 * (int64_t)AV_TIME_BASE)
#define GAP_US       (30 * 3600 * (int64_t)AV_TIME_BASE)
#define NEAR_US      ((int64_t)AV_TIME_BASE)
/* 142 years, so that a camera may count since 1970: a time beyond is none, and sums cannot
 * overflow. */
#define MOST_US ((int64_t)1 << 52)

struct stream_times {
    bool known, shown; /* the first times, the last one */
    int64_t segment;
    int64_t last_us,
        next_us;    /* of decoding: of the last packet, and where the next one is expected */
    int64_t end_us; /* of showing: where the packets so far end */
};

struct video_times {
    const AVFormatContext *format;
    struct stream_times *streams;
    size_t stream_count;
    int64_t offsets_us[SEGMENTS]; /* of segment n at n % SEGMENTS */
    int64_t newest;
};

det_status video_times_open(struct det_env *env, const AVFormatContext *format,
                            struct video_times **out)
{
    struct video_times *t = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &t, 1, sizeof *t, "timestamps"));
    t->format = format;
    t->stream_count = format->nb_streams;
    DET_TRY(det_alloc(env, &t->streams, t->stream_count, sizeof *t->streams, "timestamps"));
    *out = t;
    return DET_OK;
fail:
    video_times_free(env, &t);
    return status;
}

void video_times_free(struct det_env *env, struct video_times **times)
{
    if (*times != NULL)
        det_free(env, &(*times)->streams);
    det_free(env, times);
}

static int64_t *offset_of(struct video_times *t, int64_t segment)
{
    return &t->offsets_us[segment % SEGMENTS];
}

static int64_t distance(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

/* Where everything that was read so far ends. */
static int64_t end_us(const struct video_times *t, const struct stream_times *stream)
{
    int64_t end = stream->end_us;
    for (size_t i = 0; i < t->stream_count; i++) {
        const struct stream_times *s = &t->streams[i];
        if (s->shown && s->end_us > end && s->end_us - stream->end_us <= LEAP_US)
            end = s->end_us;
    }
    return end;
}

static bool steps(const struct video_times *t, const struct stream_times *stream, int64_t us)
{
    const bool has_steps = (t->format->iformat->flags & AVFMT_TS_DISCONT) != 0;
    return us + STEP_BACK_US < stream->last_us ||
           us - stream->next_us > (has_steps ? LEAP_US : GAP_US);
}

/* The segment in which a packet that steps out of its stream's goes on: the newest one, where
 * another stream is already; one that was left for a time that was wrong; else a new one. There the
 * packet is shown where all that was read before ends, and is not decoded before its stream's last
 * one. */
static int64_t segment_for(struct video_times *t, const struct stream_times *stream, int64_t raw_us,
                           int64_t shown_us)
{
    if (stream->segment < t->newest &&
        distance(raw_us + *offset_of(t, t->newest), stream->next_us) <= LEAP_US)
        return t->newest;
    for (int64_t i = t->newest; i >= 0 && i > t->newest - SEGMENTS; i--) {
        const int64_t us = raw_us + *offset_of(t, i);
        if (i != stream->segment && !steps(t, stream, us) &&
            distance(us, stream->next_us) <= NEAR_US)
            return i;
    }
    const int64_t to_end = end_us(t, stream) - shown_us, to_next = stream->next_us - raw_us;
    t->newest++;
    *offset_of(t, t->newest) = to_end > to_next ? to_end : to_next;
    return t->newest;
}

/* In microseconds; AV_NOPTS_VALUE for a time that is none. */
static int64_t to_us(int64_t ticks, AVRational base)
{
    const int64_t us =
        ticks != AV_NOPTS_VALUE ? av_rescale_q(ticks, base, AV_TIME_BASE_Q) : AV_NOPTS_VALUE;
    return us >= -MOST_US && us <= MOST_US ? us : AV_NOPTS_VALUE;
}

static int64_t length_us(const AVPacket *packet, AVRational base)
{
    const int64_t us = to_us(packet->duration, base);
    return us < 0 ? 0 : us < LEAP_US ? us : LEAP_US;
}

static void guess_time(struct stream_times *stream, const AVStream *of, AVPacket *packet)
{
    packet->dts = packet->pts = AV_NOPTS_VALUE;
    if (!stream->known || of->codecpar->codec_type != AVMEDIA_TYPE_AUDIO)
        return; /* of a picture the decoder guesses */
    packet->dts = packet->pts = av_rescale_q(stream->next_us, AV_TIME_BASE_Q, of->time_base);
    stream->last_us = stream->next_us;
    stream->next_us += length_us(packet, of->time_base);
    if (stream->next_us > stream->end_us)
        stream->end_us = stream->next_us;
}

static int64_t moved(int64_t ticks, int64_t us, int64_t offset)
{
    int64_t sum = 0;
    return us == AV_NOPTS_VALUE || offset == AV_NOPTS_VALUE ||
                   __builtin_add_overflow(ticks, offset, &sum)
               ? AV_NOPTS_VALUE
               : sum;
}

/* By how much a packet is shown later than it is decoded, as far as that makes sense. */
static int64_t shown_later(int64_t raw_us, int64_t pts_us)
{
    return pts_us != AV_NOPTS_VALUE && distance(pts_us, raw_us) <= LEAP_US ? pts_us - raw_us : 0;
}

int64_t video_times_correct(struct video_times *t, AVPacket *packet)
{
    const AVStream *of = t->format->streams[packet->stream_index];
    struct stream_times *stream = &t->streams[packet->stream_index];
    const int64_t dts_us = to_us(packet->dts, of->time_base);
    const int64_t pts_us = to_us(packet->pts, of->time_base);
    const int64_t raw_us = dts_us != AV_NOPTS_VALUE ? dts_us : pts_us;
    const bool ordered = dts_us != AV_NOPTS_VALUE || of->codecpar->video_delay == 0;
    int64_t step_us = 0;
    if (t->newest - stream->segment >= SEGMENTS)
        stream->segment = t->newest;
    int64_t us = raw_us != AV_NOPTS_VALUE ? raw_us + *offset_of(t, stream->segment) : raw_us;
    if (us < -MOST_US || us > MOST_US) {
        guess_time(stream, of, packet);
        return 0;
    }
    if (stream->known && ordered && steps(t, stream, us)) {
        step_us = us - stream->next_us;
        stream->segment = segment_for(t, stream, raw_us, raw_us + shown_later(raw_us, pts_us));
        us = raw_us + *offset_of(t, stream->segment);
    }
    const int64_t offset =
        av_rescale_q(*offset_of(t, stream->segment), AV_TIME_BASE_Q, of->time_base);
    packet->dts = moved(packet->dts, dts_us, offset);
    packet->pts = moved(packet->pts, pts_us, offset);
    const int64_t length = length_us(packet, of->time_base);
    const int64_t shown_us = us + shown_later(raw_us, pts_us);
    if (!stream->shown || shown_us + length > stream->end_us)
        stream->end_us = shown_us + length;
    stream->shown = true;
    /* a time of showing alone says nothing where pictures are decoded in another order */
    if (ordered) {
        stream->known = true;
        stream->last_us = us;
        stream->next_us = us + length;
    }
    return step_us;
}

int64_t video_times_end_us(const struct video_times *t)
{
    int64_t end = 0;
    for (size_t i = 0; i < t->stream_count; i++)
        if (t->streams[i].shown && t->streams[i].end_us > end)
            end = t->streams[i].end_us;
    return end;
}
