/* ffmpeg_audio.c: audio streams copied packet by packet, or a tone of our own for generated
 * videos. */
#include <libavutil/channel_layout.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "video/ffmpeg_parts.h"

struct video_audio {
    /* Copied: input stream i goes to output stream map[i] - 1; 0: is left out. */
    struct video_reader *from;
    int *map;
    int64_t *last_dts; /* of the packets written, by input stream */
    AVPacket *packet;
    /* Generated. */
    AVCodecContext *tone;
    AVFrame *frame;
    int64_t samples;
    int tone_stream;
};

static det_status copy_streams(struct det_env *env, const struct video_writer_settings *s,
                               AVFormatContext *format, char *about, size_t about_bytes,
                               struct video_audio *audio, int *copied)
{
    const AVFormatContext *input = video_reader_format(s->audio_from);
    const size_t streams = input->nb_streams + 1;
    DET_TRY_RETURN(det_alloc(env, &audio->map, streams, sizeof *audio->map, "audio streams"));
    DET_TRY_RETURN(
        det_alloc(env, &audio->last_dts, streams, sizeof *audio->last_dts, "audio streams"));
    for (unsigned i = 0; i < input->nb_streams; i++) {
        const AVCodecParameters *from = input->streams[i]->codecpar;
        if (from->codec_type != AVMEDIA_TYPE_AUDIO)
            continue;
        const char *name = avcodec_get_name(from->codec_id);
        const size_t said = strlen(about);
        if (avformat_query_codec(format->oformat, from->codec_id, FF_COMPLIANCE_NORMAL) != 1) {
            det_log(env, DET_LOG_WARNING,
                    "%s: a file of format %s cannot hold %s audio: it is left out (.mkv takes all)",
                    s->path, format->oformat->name, name);
            continue;
        }
        AVStream *stream = avformat_new_stream(format, NULL);
        if (stream == NULL || avcodec_parameters_copy(stream->codecpar, from) < 0)
            return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for its audio", s->path);
        stream->codecpar->codec_tag = 0; /* the new container's own */
        stream->time_base = input->streams[i]->time_base;
        audio->map[i] = stream->index + 1;
        audio->last_dts[i] = INT64_MIN;
        video_reader_keep_stream(s->audio_from, (int)i);
        snprintf(about + said, about_bytes - said, ", audio %s copied", name);
        ++*copied;
    }
    return DET_OK;
}

static det_status open_tone(struct det_env *env, const struct video_writer_settings *s,
                            AVFormatContext *format, struct video_audio *audio)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
    AVCodecContext *c = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    AVStream *stream = avformat_new_stream(format, NULL);
    audio->tone = c;
    audio->frame = av_frame_alloc();
    if (c == NULL || stream == NULL || audio->frame == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: no AAC encoder for its tone", s->path);
    c->sample_rate = 48000;
    c->sample_fmt = AV_SAMPLE_FMT_FLTP;
    av_channel_layout_default(&c->ch_layout, 1);
    c->bit_rate = 64000;
    c->time_base = (AVRational){1, c->sample_rate};
    if ((format->oformat->flags & AVFMT_GLOBALHEADER) != 0)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    int error = avcodec_open2(c, codec, NULL);
    if (error >= 0)
        error = avcodec_parameters_from_context(stream->codecpar, c);
    AVFrame *f = audio->frame;
    f->nb_samples = c->frame_size;
    f->format = c->sample_fmt;
    f->sample_rate = c->sample_rate;
    if (error >= 0)
        error = av_channel_layout_copy(&f->ch_layout, &c->ch_layout);
    if (error >= 0)
        error = av_frame_get_buffer(f, 0);
    stream->time_base = c->time_base;
    audio->tone_stream = stream->index;
    return error < 0 ? video_fail(env, error, "%s: the encoder of its tone", s->path) : DET_OK;
}

det_status video_audio_open(struct det_env *env, const struct video_writer_settings *s,
                            AVFormatContext *format, char *about, size_t about_bytes,
                            struct video_audio **out)
{
    det_status status = DET_OK;
    int copied = 0;
    *out = NULL;
    if (s->audio_from == NULL && !s->tone)
        return DET_OK;
    struct video_audio *audio = NULL;
    DET_TRY_RETURN(det_alloc(env, &audio, 1, sizeof *audio, "audio"));
    audio->packet = av_packet_alloc();
    audio->from = s->audio_from;
    if (audio->packet == NULL)
        DET_TRY(det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for audio", s->path));
    if (s->tone)
        DET_TRY(open_tone(env, s, format, audio));
    else
        DET_TRY(copy_streams(env, s, format, about, about_bytes, audio, &copied));
    if (!s->tone && copied == 0)
        video_audio_free(env, &audio);
    *out = audio;
    return DET_OK;
fail:
    video_audio_free(env, &audio);
    return status;
}

static int write_copied(struct video_audio *audio, AVFormatContext *format, double until_s)
{
    const AVFormatContext *input = video_reader_format(audio->from);
    AVPacket *packet = audio->packet;
    int error = 0;
    while (error >= 0 && video_reader_take_packet(audio->from, until_s, packet)) {
        const int of = packet->stream_index;
        packet->stream_index = audio->map[of] - 1;
        packet->pos = -1;
        av_packet_rescale_ts(packet, input->streams[of]->time_base,
                             format->streams[packet->stream_index]->time_base);
        /* Where parts of a recording overlap: a file's times must rise. */
        if (packet->dts == AV_NOPTS_VALUE || packet->dts > audio->last_dts[of]) {
            if (packet->dts != AV_NOPTS_VALUE)
                audio->last_dts[of] = packet->dts;
            error = av_interleaved_write_frame(format, packet);
        }
        av_packet_unref(packet);
    }
    return error;
}

static int write_tone_packets(struct video_audio *audio, AVFormatContext *format)
{
    AVPacket *packet = audio->packet;
    int error = 0;
    while (error >= 0 && avcodec_receive_packet(audio->tone, packet) == 0) {
        packet->stream_index = audio->tone_stream;
        av_packet_rescale_ts(packet, audio->tone->time_base,
                             format->streams[audio->tone_stream]->time_base);
        error = av_interleaved_write_frame(format, packet);
    }
    return error;
}

/* 440 Hz at a quarter of full scale, a beat each second. */
static int write_tone(struct video_audio *audio, AVFormatContext *format, double until_s)
{
    const int rate = audio->tone->sample_rate;
    int error = 0;
    while (error >= 0 && (double)audio->samples / rate < until_s) {
        error = av_frame_make_writable(audio->frame);
        if (error < 0)
            break;
        float *samples = (float *)(void *)audio->frame->data[0];
        for (int i = 0; i < audio->frame->nb_samples; i++) {
            const double t = (double)(audio->samples + i) / rate;
            samples[i] = (float)(0.25 * sin(2 * 3.14159265358979 * 440 * t) * exp(-3 * fmod(t, 1)));
        }
        audio->frame->pts = audio->samples;
        audio->samples += audio->frame->nb_samples;
        error = avcodec_send_frame(audio->tone, audio->frame);
        if (error >= 0)
            error = write_tone_packets(audio, format);
    }
    return error;
}

int video_audio_write(struct video_audio *audio, AVFormatContext *format, double until_s)
{
    if (audio == NULL)
        return 0;
    return audio->tone != NULL ? write_tone(audio, format, until_s)
                               : write_copied(audio, format, until_s);
}

int video_audio_finish(struct video_audio *audio, AVFormatContext *format, double until_s)
{
    /* What outlasts the picture stays, unless the picture was left before its end. */
    if (audio != NULL && audio->from != NULL && video_reader_at_end(audio->from))
        until_s = INFINITY;
    const int error = video_audio_write(audio, format, until_s);
    if (audio == NULL || audio->tone == NULL || error < 0)
        return error;
    avcodec_send_frame(audio->tone, NULL);
    return write_tone_packets(audio, format);
}

void video_audio_free(struct det_env *env, struct video_audio **out)
{
    struct video_audio *audio = *out;
    if (audio == NULL)
        return;
    det_free(env, &audio->map);
    det_free(env, &audio->last_dts);
    av_packet_free(&audio->packet);
    av_frame_free(&audio->frame);
    avcodec_free_context(&audio->tone);
    det_free(env, out);
}
