/* ffmpeg_writer.c: frames to a video file. */
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "video/ffmpeg_parts.h"

struct video_writer {
    char *path;
    struct video_file *file;
    AVFormatContext *format;
    AVCodecContext *encoder;
    AVStream *stream;
    AVFrame *picture;
    AVPacket *packet;
    struct SwsContext *scaler;
    struct video_audio *audio;
    AVRational ticks_base;
    int64_t last_pts, frames, written; /* frames taken, and those that the encoder has given out */
    double frame_s;                    /* nominal length of a frame */
    bool header_written;
    det_status failure; /* the first one; its message */
    char message[DET_ERROR_BYTES];
    char about[200];
};

/* Remembers the first failure: closing reports it again. */
static det_status failed(struct det_env *env, struct video_writer *w, int error)
{
    const int cause = video_file_error(w->file);
    det_status status;
    if (video_file_full(w->file))
        status = det_fail(env, DET_STATUS_NO_SPACE,
                          "%s: no space left on the device after %lld frames; the file holds the "
                          "video up to there",
                          w->path, (long long)w->written);
    else if (cause != 0)
        status = det_fail_errno(env, cause, "%s: writing after %lld frames", w->path,
                                (long long)w->frames);
    else
        status =
            video_fail(env, error, "%s: writing after %lld frames", w->path, (long long)w->frames);
    if (w->failure == DET_OK) {
        w->failure = status;
        memcpy(w->message, env->error, sizeof w->message);
    }
    return status;
}

static det_status open_container(struct det_env *env, const struct video_writer_settings *s,
                                 struct video_writer *w)
{
    const AVOutputFormat *container = av_guess_format(NULL, s->path, NULL);
    if (container == NULL || (container->flags & AVFMT_NOFILE) != 0 ||
        container->video_codec == AV_CODEC_ID_NONE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: no video format has this extension: expected .mp4, .mkv, .mov, .webm "
                        "or .avi",
                        s->path);
    const int error = avformat_alloc_output_context2(&w->format, container, NULL, s->path);
    return error < 0 ? video_fail(env, error, "%s", s->path) : DET_OK;
}

static det_status open_encoder(struct det_env *env, const struct video_writer_settings *s,
                               struct video_writer *w)
{
    AVDictionary *options = NULL;
    DET_TRY_RETURN(video_choose_encoder(env, s, w->format->oformat, &w->encoder, &options));
    AVCodecContext *c = w->encoder;
    int error = avcodec_open2(c, c->codec, &options);
    av_dict_free(&options);
    if (error < 0)
        return video_fail(env, error, "%s: the encoder %s does not take %d x %d pixels", s->path,
                          c->codec->name, s->width, s->height);
    w->stream = avformat_new_stream(w->format, NULL);
    w->picture = av_frame_alloc();
    w->packet = av_packet_alloc();
    if (w->stream == NULL || w->picture == NULL || w->packet == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory to write it", s->path);
    error = avcodec_parameters_from_context(w->stream->codecpar, c);
    w->stream->time_base = c->time_base;
    w->stream->avg_frame_rate = c->framerate;
    w->stream->sample_aspect_ratio = c->sample_aspect_ratio;
    w->picture->format = c->pix_fmt;
    w->picture->width = c->width;
    w->picture->height = c->height;
    if (error >= 0)
        error = av_frame_get_buffer(w->picture, 0);
    if (error < 0)
        return video_fail(env, error, "%s", s->path);
    w->picture->color_range = c->color_range;
    w->picture->colorspace = c->colorspace;
    w->scaler = sws_getContext(c->width, c->height, AV_PIX_FMT_RGB24, c->width, c->height,
                               c->pix_fmt, SWS_BICUBIC, NULL, NULL, NULL);
    if (w->scaler == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: cannot convert RGB for %s", s->path,
                        c->codec->name);
    video_set_colours(w->scaler, c->colorspace, c->color_range == AVCOL_RANGE_JPEG, c->height,
                      false);
    snprintf(w->about, sizeof w->about, "%s (%s), %d x %d", avcodec_get_name(c->codec_id),
             c->codec->name, s->width, s->height);
    return DET_OK;
}

det_status video_writer_open(struct det_env *env, const struct video_writer_settings *s,
                             struct video_writer **out)
{
    det_status status = DET_OK;
    struct video_writer *w = NULL;
    *out = NULL;
    video_capture_log();
    DET_TRY_RETURN(det_alloc(env, &w, 1, sizeof *w, "video writer"));
    w->last_pts = INT64_MIN;
    w->ticks_base = (AVRational){s->time_base.num, s->time_base.den};
    w->frame_s = 1 / (s->frame_rate > 0 ? s->frame_rate : 25);
    DET_TRY(det_strdup(env, &w->path, s->path));
    DET_TRY(open_container(env, s, w));
    DET_TRY(open_encoder(env, s, w));
    DET_TRY(video_audio_open(env, s, w->format, w->about, sizeof w->about, &w->audio));
    DET_TRY(video_file_open(env, s->path, &w->file));
    w->format->pb = video_file_io(w->file);
    const int error = avformat_write_header(w->format, NULL);
    if (error < 0)
        DET_TRY(failed(env, w, error));
    w->header_written = true;
    *out = w;
    return DET_OK;
fail:
    w->failure = DET_OK; /* said already */
    video_writer_close(env, &w);
    return status;
}

const char *video_writer_about(const struct video_writer *writer)
{
    return writer->about;
}

/* Writes what the encoder has ready. */
static int write_packets(struct video_writer *w)
{
    int error = 0;
    while ((error = avcodec_receive_packet(w->encoder, w->packet)) == 0) {
        AVPacket *packet = w->packet;
        packet->stream_index = w->stream->index;
        if (packet->duration == 0)
            packet->duration = llrint(w->frame_s / av_q2d(w->encoder->time_base));
        av_packet_rescale_ts(packet, w->encoder->time_base, w->stream->time_base);
        error = av_interleaved_write_frame(w->format, packet);
        if (error < 0)
            return error;
        w->written++;
    }
    return error == AVERROR(EAGAIN) || error == AVERROR_EOF ? 0 : error;
}

static double time_of(const struct video_writer *w)
{
    return (double)w->last_pts * av_q2d(w->encoder->time_base);
}

det_status video_writer_frame(struct det_env *env, struct video_writer *w,
                              const struct det_image *image, int64_t ticks)
{
    if (w->failure != DET_OK)
        return det_fail(env, w->failure, "%s", w->message);
    if (image->width != w->encoder->width || image->height != w->encoder->height)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: frame of %d x %d pixels, not %d x %d", w->path, image->width,
                        image->height, w->encoder->width, w->encoder->height);
    int error = av_frame_make_writable(w->picture);
    if (error < 0)
        return failed(env, w, error);
    const uint8_t *const planes[4] = {image->rgb};
    const int strides[4] = {image->width * 3};
    sws_scale(w->scaler, planes, strides, 0, image->height, w->picture->data, w->picture->linesize);
    int64_t pts = av_rescale_q(ticks, w->ticks_base, w->encoder->time_base);
    if (pts <= w->last_pts)
        pts = w->last_pts + 1;
    w->last_pts = pts;
    w->picture->pts = pts;
    w->picture->pict_type = AV_PICTURE_TYPE_NONE;
    w->picture->quality = w->encoder->global_quality; /* MPEG-4 and MJPEG read it here */
    error = avcodec_send_frame(w->encoder, w->picture);
    if (error >= 0)
        error = write_packets(w);
    if (error >= 0)
        error = video_audio_write(w->audio, w->format, time_of(w));
    if (error < 0 || video_file_full(w->file))
        return failed(env, w, error);
    w->frames++;
    return DET_OK;
}

/* What is still in the encoder, then the index. */
static det_status finish(struct det_env *env, struct video_writer *w)
{
    int error = 0;
    if (w->failure == DET_OK) {
        error = avcodec_send_frame(w->encoder, NULL);
        if (error >= 0)
            error = write_packets(w);
        if (error >= 0)
            error = video_audio_finish(w->audio, w->format,
                                       w->frames > 0 ? time_of(w) + w->frame_s : 0);
    }
    const int trailer = av_write_trailer(w->format);
    avio_flush(w->format->pb);
    if (error >= 0)
        error = trailer;
    if (w->failure == DET_OK &&
        (error < 0 || video_file_full(w->file) || video_file_error(w->file) != 0))
        failed(env, w, error);
    return w->failure == DET_OK ? DET_OK : det_fail(env, w->failure, "%s", w->message);
}

det_status video_writer_close(struct det_env *env, struct video_writer **out)
{
    struct video_writer *w = *out;
    det_status status = DET_OK;
    if (w == NULL)
        return DET_OK;
    if (w->header_written)
        status = finish(env, w);
    sws_freeContext(w->scaler);
    av_packet_free(&w->packet);
    av_frame_free(&w->picture);
    avcodec_free_context(&w->encoder);
    video_audio_free(env, &w->audio);
    if (w->format != NULL)
        w->format->pb = NULL;
    avformat_free_context(w->format);
    if (w->file != NULL) {
        /* A video without a frame is none that a player opens. */
        const struct det_env first = *env;
        const det_status closed = video_file_close(env, &w->file, w->frames > 0);
        if (status != DET_OK)
            det_env_adopt_error(env, &first);
        else
            status = closed;
    }
    det_free(env, &w->path);
    det_free(env, out);
    return status;
}
