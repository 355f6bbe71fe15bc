/* ffmpeg_reader.c: files, cameras and network streams to frames. */
#include <libavdevice/avdevice.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support/mem.h"
#include "video/ffmpeg_parts.h"

struct kept_packet {
    AVPacket *packet;
    struct kept_packet *next;
};

struct video_reader {
    char *url;
    AVFormatContext *format;
    AVCodecContext *decoder;
    AVPacket *packet;
    int stream;
    unsigned stream_count; /* when it was opened; a transport stream may get more */
    struct video_info info;
    bool (*stop)(void);
    int64_t start_ticks; /* of the video stream's time base: what time 0 is */
    bool start_known;
    int64_t last_ticks, next_index;
    struct video_times *times;
    int64_t step_us, step_at_us; /* the first step of the timestamps, 0: none; and when it is */
    bool step_said;
    int64_t packets;       /* of the video stream, those included that an edit list hides */
    int64_t whole_packets; /* how many a whole file has at least; 0: not known */
    bool own_duration;     /* info.duration_s is the video stream's */
    int64_t missing_bytes; /* as the file says; 0: none that is known */
    bool draining, at_end;
    int64_t damaged;       /* packets */
    int32_t other_size[2]; /* of the first frame with another size; 0: none */
    int read_error;        /* AVERROR that ended reading before the end; 0 */
    bool *keep;            /* [streams] */
    pthread_mutex_t lock;  /* of the kept packets */
    struct kept_packet *first, **last;
};

static double seconds_of(int64_t ticks, AVRational base)
{
    return (double)ticks * av_q2d(base);
}

/* Of a time that counts as the file's timestamps do. */
static double since_start_s(const struct video_reader *r, int64_t us)
{
    return (double)us / AV_TIME_BASE -
           seconds_of(r->start_ticks, r->format->streams[r->stream]->time_base);
}

/* FFmpeg asks this while it waits. */
static int should_stop(void *user)
{
    const struct video_reader *reader = user;
    return reader->stop != NULL && reader->stop();
}

static det_status open_input(struct det_env *env, struct video_reader *r)
{
    const char *url = strcmp(r->url, "-") == 0 ? "pipe:0" : r->url;
    const bool camera = strncmp(url, "v4l2:", 5) == 0;
    const AVInputFormat *format = NULL;
    AVDictionary *options = NULL;
    if (camera) {
        avdevice_register_all();
        format = av_find_input_format("v4l2");
        if (format == NULL)
            return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: this FFmpeg has no Video4Linux input",
                            r->url);
        url += 5;
    }
    if (strncmp(url, "rtsp:", 5) == 0) {
        av_dict_set(&options, "rtsp_transport", "tcp", 0); /* no lost packets */
        av_dict_set(&options, "timeout", "10000000", 0);   /* microseconds */
    } else if (strncmp(url, "http", 4) == 0) {
        av_dict_set(&options, "rw_timeout", "10000000", 0);
    }
    r->format = avformat_alloc_context();
    if (r->format == NULL) {
        av_dict_free(&options);
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory to open it", r->url);
    }
    r->format->interrupt_callback = (AVIOInterruptCB){should_stop, r};
    int error = avformat_open_input(&r->format, url, format, &options);
    av_dict_free(&options);
    if (error < 0)
        return video_fail(env, error, "%s: cannot be opened as %s", r->url,
                          camera ? "a camera" : "video");
    r->info.endless = camera || strncmp(url, "rtsp:", 5) == 0;
    error = avformat_find_stream_info(r->format, NULL);
    if (error < 0)
        return video_fail(env, error, "%s: no usable video", r->url);
    return DET_OK;
}

/* Audio is read also when nobody keeps it: where it ends tells whether a file is whole. */
static bool of_interest(const struct video_reader *r, int stream)
{
    return stream == r->stream ||
           (!r->info.endless &&
            r->format->streams[stream]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO);
}

static det_status find_stream(struct det_env *env, struct video_reader *r)
{
    r->stream = av_find_best_stream(r->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (r->stream < 0 ||
        (r->format->streams[r->stream]->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0) {
        const bool audio = av_find_best_stream(r->format, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0) >= 0;
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: holds no video, %s", r->url,
                        audio ? "only audio" : "nor audio");
    }
    for (unsigned i = 0; i < r->format->nb_streams; i++)
        r->format->streams[i]->discard = of_interest(r, (int)i) ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
    r->stream_count = r->format->nb_streams;
    return det_alloc(env, &r->keep, r->stream_count, sizeof *r->keep, "stream list");
}

static det_status open_decoder(struct det_env *env, struct video_reader *r, int threads)
{
    const AVStream *stream = r->format->streams[r->stream];
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    if (codec == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: no decoder for %s in this FFmpeg", r->url,
                        avcodec_get_name(stream->codecpar->codec_id));
    r->decoder = avcodec_alloc_context3(codec);
    r->packet = av_packet_alloc();
    if (r->decoder == NULL || r->packet == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for the decoder", r->url);
    int error = avcodec_parameters_to_context(r->decoder, stream->codecpar);
    r->decoder->thread_count = threads;
    r->decoder->pkt_timebase = stream->time_base;
    if (error >= 0)
        error = avcodec_open2(r->decoder, codec, NULL);
    if (error < 0)
        return video_fail(env, error, "%s: cannot decode its %s", r->url, codec->name);
    if (r->decoder->width < 1 || r->decoder->height < 1)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: its %s video has no size: %d x %d", r->url,
                        codec->name, r->decoder->width, r->decoder->height);
    return DET_OK;
}

/* The display matrix as an EXIF orientation: where the axes point, to the nearest quarter turn. */
static int orientation_of(const AVStream *stream)
{
    const uint8_t *matrix = av_stream_get_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, NULL);
    if (matrix == NULL)
        return 1;
    int32_t m[9]; /* 16.16: x' = m0 x + m3 y, y' = m1 x + m4 y */
    memcpy(m, matrix, sizeof m);
    const double straight = fabs((double)m[0]) + fabs((double)m[4]);
    const double crossed = fabs((double)m[1]) + fabs((double)m[3]);
    if (crossed > straight)
        return m[1] > 0 ? (m[3] > 0 ? 5 : 6) : (m[3] > 0 ? 8 : 7);
    return m[0] >= 0 ? (m[4] >= 0 ? 1 : 4) : (m[4] >= 0 ? 2 : 3);
}

/* An MP4 that was trimmed without being encoded anew still counts all frames; its edit list leaves
 * some out and hides those that are only needed to decode others. The index has what is left. */
static void count_edited(struct video_reader *r)
{
    AVStream *stream = r->format->streams[r->stream];
    const int entries = avformat_index_get_entries_count(stream);
    if (strncmp(r->format->iformat->name, "mov,", 4) != 0 || !r->info.frames_exact ||
        entries == 0 || entries > stream->nb_frames)
        return;
    r->whole_packets = r->info.frames = entries;
    for (int i = 0; i < entries; i++)
        r->info.frames -= (avformat_index_get_entry(stream, i)->flags & AVINDEX_DISCARD_FRAME) != 0;
}

static void describe(struct video_reader *r)
{
    AVStream *stream = r->format->streams[r->stream];
    struct video_info *info = &r->info;
    info->orientation = orientation_of(stream);
    const bool turned = det_exif_swaps_sides(info->orientation);
    info->width = turned ? r->decoder->height : r->decoder->width;
    info->height = turned ? r->decoder->width : r->decoder->height;
    const AVRational rate = av_guess_frame_rate(r->format, stream, NULL);
    if (rate.num > 0 && rate.den > 0)
        info->frame_rate = av_q2d(rate);
    /* A variable rate: what it is on the average, not the rate that all frames are multiples of. */
    if (stream->avg_frame_rate.num > 0 && stream->avg_frame_rate.den > 0 && !info->endless)
        info->frame_rate = av_q2d(stream->avg_frame_rate);
    if (!info->endless) {
        r->own_duration = stream->duration > 0;
        info->duration_s = r->own_duration ? seconds_of(stream->duration, stream->time_base)
                           : r->format->duration > 0
                               ? (double)r->format->duration / (double)AV_TIME_BASE
                               : 0;
        info->frames_exact = stream->nb_frames > 0;
        info->frames = info->frames_exact ? stream->nb_frames
                                          : (int64_t)llrint(info->duration_s * info->frame_rate);
        r->whole_packets = info->frames_exact ? (int64_t)(0.98 * (double)info->frames) - 2 : 0;
        r->missing_bytes = video_missing_bytes(r->format);
        count_edited(r);
    }
    info->time_base = (struct video_rational){stream->time_base.num, stream->time_base.den};
    AVRational shape = av_guess_sample_aspect_ratio(r->format, stream, NULL);
    if (shape.num < 1 || shape.den < 1)
        shape = (AVRational){1, 1};
    info->pixel_shape = turned ? (struct video_rational){shape.den, shape.num}
                               : (struct video_rational){shape.num, shape.den};
    snprintf(info->codec, sizeof info->codec, "%s", avcodec_get_name(r->decoder->codec_id));
    if (r->format->start_time != AV_NOPTS_VALUE && !info->endless &&
        llabs(r->format->start_time) < (int64_t)1 << 52) {
        r->start_known = true;
        r->start_ticks = av_rescale_q(r->format->start_time, AV_TIME_BASE_Q, stream->time_base);
    }
}

det_status video_reader_open(struct det_env *env, const char *url, int threads, bool (*stop)(void),
                             struct video_reader **out)
{
    det_status status = DET_OK;
    struct video_reader *r = NULL;
    *out = NULL;
    video_capture_log();
    DET_TRY_RETURN(det_alloc(env, &r, 1, sizeof *r, "video reader"));
    pthread_mutex_init(&r->lock, NULL);
    r->last = &r->first;
    r->stop = stop;
    r->last_ticks = INT64_MIN;
    DET_TRY(det_strdup(env, &r->url, url));
    DET_TRY(open_input(env, r));
    DET_TRY(find_stream(env, r));
    DET_TRY(open_decoder(env, r, threads));
    DET_TRY(video_times_open(env, r->format, &r->times));
    describe(r);
    *out = r;
    return DET_OK;
fail:
    video_reader_close(env, &r);
    return status;
}

const struct video_info *video_reader_info(const struct video_reader *reader)
{
    return &reader->info;
}

AVFormatContext *video_reader_format(struct video_reader *reader)
{
    return reader->format;
}

bool video_reader_at_end(const struct video_reader *reader)
{
    return reader->at_end;
}

void video_reader_keep_stream(struct video_reader *reader, int stream)
{
    reader->keep[stream] = true;
    reader->format->streams[stream]->discard = AVDISCARD_DEFAULT;
}

/* --- packets --- */

static void keep_packet(struct video_reader *r)
{
    const AVStream *stream = r->format->streams[r->packet->stream_index];
    const AVStream *video = r->format->streams[r->stream];
    struct kept_packet *kept = av_mallocz(sizeof *kept);
    if (kept == NULL || (kept->packet = av_packet_alloc()) == NULL) {
        av_free(kept);
        av_packet_unref(r->packet);
        r->damaged++;
        return;
    }
    av_packet_move_ref(kept->packet, r->packet);
    const int64_t start = av_rescale_q(r->start_ticks, video->time_base, stream->time_base);
    if (kept->packet->pts != AV_NOPTS_VALUE)
        kept->packet->pts -= start;
    if (kept->packet->dts != AV_NOPTS_VALUE)
        kept->packet->dts -= start;
    /* Hidden by an edit list, or before the beginning. */
    if ((kept->packet->flags & AV_PKT_FLAG_DISCARD) != 0 ||
        (kept->packet->pts != AV_NOPTS_VALUE && kept->packet->pts + kept->packet->duration <= 0)) {
        av_packet_free(&kept->packet);
        av_free(kept);
        return;
    }
    pthread_mutex_lock(&r->lock);
    *r->last = kept;
    r->last = &kept->next;
    pthread_mutex_unlock(&r->lock);
}

bool video_reader_take_packet(struct video_reader *r, double limit_s, AVPacket *packet)
{
    pthread_mutex_lock(&r->lock);
    struct kept_packet *kept = r->first;
    bool due = kept != NULL;
    if (due) {
        const AVStream *stream = r->format->streams[kept->packet->stream_index];
        const int64_t time =
            kept->packet->dts != AV_NOPTS_VALUE ? kept->packet->dts : kept->packet->pts;
        due = time == AV_NOPTS_VALUE || seconds_of(time, stream->time_base) <= limit_s;
    }
    if (due) {
        r->first = kept->next;
        if (r->first == NULL)
            r->last = &r->first;
    }
    pthread_mutex_unlock(&r->lock);
    if (!due)
        return false;
    av_packet_move_ref(packet, kept->packet);
    av_packet_free(&kept->packet);
    av_free(kept);
    return true;
}

static void correct_times(struct video_reader *r)
{
    const int64_t step_us = video_times_correct(r->times, r->packet);
    if (r->step_us != 0 || step_us == 0)
        return;
    r->step_us = step_us;
    r->step_at_us = video_times_end_us(r->times);
}

/* Gives the decoder its next packet, or tells it that there is none. */
static void feed(struct video_reader *r)
{
    const int error = should_stop(r) ? AVERROR_EOF : av_read_frame(r->format, r->packet);
    if (error == AVERROR(EAGAIN)) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    } else if (error < 0) {
        if (error != AVERROR_EOF && error != AVERROR_EXIT)
            r->read_error = error;
        r->at_end = error == AVERROR_EOF && !should_stop(r);
        r->draining = true;
        avcodec_send_packet(r->decoder, NULL);
    } else if ((unsigned)r->packet->stream_index >= r->stream_count) {
        av_packet_unref(r->packet); /* of a stream that began later, which nobody knows */
    } else if (r->packet->stream_index == r->stream) {
        r->packets++;
        correct_times(r);
        if (avcodec_send_packet(r->decoder, r->packet) < 0)
            r->damaged++;
        av_packet_unref(r->packet);
    } else {
        correct_times(r);
        if (r->keep[r->packet->stream_index])
            keep_packet(r);
        av_packet_unref(r->packet);
    }
}

static void set_time(struct video_reader *r, const AVFrame *picture, struct video_frame *frame)
{
    const AVRational base = r->format->streams[r->stream]->time_base;
    const double rate = r->info.frame_rate > 0 ? r->info.frame_rate : 25;
    int64_t ticks = picture->best_effort_timestamp;
    if (!r->start_known) {
        r->start_known = true;
        r->start_ticks = ticks != AV_NOPTS_VALUE ? ticks : 0;
    }
    if (ticks != AV_NOPTS_VALUE)
        ticks -= r->start_ticks;
    else
        ticks = r->last_ticks == INT64_MIN
                    ? 0
                    : r->last_ticks + (int64_t)llrint(1 / rate / av_q2d(base));
    if (ticks <= r->last_ticks)
        ticks = r->last_ticks + 1;
    r->last_ticks = ticks;
    frame->ticks = ticks;
    frame->time_s = seconds_of(ticks, base);
    frame->index = r->next_index++;
}

det_status video_reader_next(struct det_env *env, struct video_reader *r, struct video_frame *frame,
                             bool *end)
{
    *frame = (struct video_frame){0};
    *end = false;
    AVFrame *picture = av_frame_alloc();
    if (picture == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for a frame", r->url);
    for (;;) {
        const int error = avcodec_receive_frame(r->decoder, picture);
        if (error == 0)
            break;
        if (error == AVERROR(EAGAIN)) {
            feed(r);
        } else if (error == AVERROR_EOF) {
            av_frame_free(&picture);
            *end = true;
            return DET_OK;
        } else {
            r->damaged++;
        }
    }
    const bool turned = det_exif_swaps_sides(r->info.orientation);
    const int32_t width = turned ? picture->height : picture->width;
    const int32_t height = turned ? picture->width : picture->height;
    if ((width != r->info.width || height != r->info.height) && r->other_size[0] == 0) {
        r->other_size[0] = width;
        r->other_size[1] = height;
        det_log(env, DET_LOG_WARNING,
                "%s: frame %lld has %d x %d pixels, not %d x %d as the video began: frames of "
                "another size are scaled to that",
                r->url, (long long)r->next_index, width, height, r->info.width, r->info.height);
    }
    if (r->step_us != 0 && !r->step_said) {
        r->step_said = true;
        det_log(
            env, DET_LOG_INFO,
            "%s: its timestamps step by %.3f s at %.2f s: what follows is moved to go on without "
            "a gap",
            r->url, (double)r->step_us * 1e-6, since_start_s(r, r->step_at_us));
    }
    if (picture->decode_error_flags != 0 && !r->info.endless)
        r->damaged++;
    set_time(r, picture, frame);
    frame->picture = picture;
    return DET_OK;
}

void video_frame_release(struct video_frame *frame)
{
    AVFrame *picture = frame->picture;
    av_frame_free(&picture);
    *frame = (struct video_frame){0};
}

/* By its count of frames, else by its duration: its own, or the file's, which may be that of
 * audio. */
static bool is_whole(const struct video_reader *r, double last_s)
{
    const double end_s = r->own_duration ? last_s : since_start_s(r, video_times_end_us(r->times));
    if (r->info.frames_exact)
        return r->packets >= r->whole_packets;
    /* A duration that FFmpeg has made out of timestamps or the bit rate is nothing that the file
     * says. */
    return r->format->duration_estimation_method != AVFMT_DURATION_FROM_STREAM ||
           r->info.duration_s <= 0 || end_s + 1.5 >= r->info.duration_s;
}

det_status video_reader_verdict(struct det_env *env, const struct video_reader *r)
{
    const struct video_info *info = &r->info;
    const long long read = (long long)r->next_index;
    if (should_stop((void *)(uintptr_t)r))
        return DET_OK;
    if (r->read_error != 0)
        return video_fail(env, r->read_error, "%s: reading ended after frame %lld", r->url, read);
    if (read == 0 && r->damaged == 0)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: its %s video holds no frame", r->url,
                        info->codec);
    if (read == 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: not one frame could be decoded (%lld damaged "
                        "packets)",
                        r->url, (long long)r->damaged);
    const double last_s = (double)r->last_ticks * info->time_base.num / info->time_base.den;
    if (!info->endless && r->missing_bytes > 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: ended after frame %lld at %.2f s: the file is cut short, it says that "
                        "%lld more bytes follow",
                        r->url, read, last_s, (long long)r->missing_bytes);
    if (!info->endless && !is_whole(r, last_s))
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: ended after frame %lld at %.2f s, but says it has %lld frames and "
                        "%.2f s: truncated?",
                        r->url, read, last_s, (long long)info->frames, info->duration_s);
    if (r->damaged > 0)
        return det_fail(env, DET_STATUS_CORRUPT,
                        "%s: %lld damaged packet%s could not be decoded; %lld frames were", r->url,
                        (long long)r->damaged, r->damaged == 1 ? "" : "s", read);
    return DET_OK;
}

void video_reader_close(struct det_env *env, struct video_reader **out)
{
    struct video_reader *r = *out;
    if (r == NULL)
        return;
    while (r->first != NULL) {
        struct kept_packet *kept = r->first;
        r->first = kept->next;
        av_packet_free(&kept->packet);
        av_free(kept);
    }
    av_packet_free(&r->packet);
    avcodec_free_context(&r->decoder);
    video_times_free(env, &r->times);
    avformat_close_input(&r->format);
    pthread_mutex_destroy(&r->lock);
    det_free(env, &r->keep);
    det_free(env, &r->url);
    det_free(env, out);
}
