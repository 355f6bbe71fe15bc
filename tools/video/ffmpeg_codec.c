/* ffmpeg_codec.c: which encoder, and how it is set: for good pictures at the speed of detection. */
#include <libavutil/opt.h>
#include <math.h>
#include <string.h>

#include "video/ffmpeg_parts.h"

static const struct {
    const char *encoder;
    const char *options[4][2]; /* of the encoder's own */
} known[] = {
    {"libx264", {{"preset", "veryfast"}, {"crf", "20"}}},
    {"libx265", {{"preset", "veryfast"}, {"crf", "23"}, {"x265-params", "log-level=error"}}},
    {"libvpx-vp9", {{"deadline", "realtime"}, {"cpu-used", "6"}, {"crf", "30"}, {"row-mt", "1"}}},
    {"libsvtav1", {{"preset", "10"}, {"crf", "32"}}},
    {"libaom-av1", {{"usage", "realtime"}, {"cpu-used", "8"}, {"crf", "30"}}},
};

/* Users' names for codecs, and the encoders to try for them. */
static const struct {
    const char *name;
    const char *encoders[3];
} codecs[] = {
    {"h264", {"libx264", "libopenh264"}},
    {"hevc", {"libx265"}},
    {"h265", {"libx265"}},
    {"vp9", {"libvpx-vp9"}},
    {"av1", {"libsvtav1", "libaom-av1"}},
    {"mjpeg", {"mjpeg"}},
    {"mpeg4", {"mpeg4"}},
};

static const AVCodec *find_encoder(const char *name)
{
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
        if (strcmp(codecs[i].name, name) == 0)
            for (int k = 0; k < 3 && codecs[i].encoders[k] != NULL; k++) {
                const AVCodec *codec = avcodec_find_encoder_by_name(codecs[i].encoders[k]);
                if (codec != NULL)
                    return codec;
            }
    const AVCodec *codec = avcodec_find_encoder_by_name(name);
    const AVCodecDescriptor *descriptor = avcodec_descriptor_get_by_name(name);
    if (codec == NULL && descriptor != NULL)
        codec = avcodec_find_encoder(descriptor->id);
    return codec != NULL && codec->type == AVMEDIA_TYPE_VIDEO ? codec : NULL;
}

/* H.264 where the container takes it, else what the container was made for. */
static const AVCodec *best_encoder(const AVOutputFormat *container)
{
    static const char *const preferred[] = {"h264", "vp9", "mpeg4"};
    for (size_t i = 0; i < sizeof preferred / sizeof preferred[0]; i++) {
        const AVCodec *codec = find_encoder(preferred[i]);
        if (codec != NULL && strcmp(container->name, "avi") != 0 &&
            avformat_query_codec(container, codec->id, FF_COMPLIANCE_NORMAL) == 1)
            return codec;
    }
    return container->video_codec != AV_CODEC_ID_NONE ? avcodec_find_encoder(container->video_codec)
                                                      : NULL;
}

static bool takes_format(const AVCodec *codec, enum AVPixelFormat format)
{
    for (const enum AVPixelFormat *f = codec->pix_fmts; f != NULL && *f != AV_PIX_FMT_NONE; f++)
        if (*f == format)
            return true;
    return codec->pix_fmts == NULL;
}

/* 4:2:0, which every player shows; of an odd size H.264 and HEVC can only keep all pixels in
 * 4:4:4. */
static enum AVPixelFormat pixel_format(const AVCodec *codec, int32_t width, int32_t height)
{
    const bool odd = (width | height) & 1;
    const bool halves = codec->id == AV_CODEC_ID_H264 || codec->id == AV_CODEC_ID_HEVC ||
                        codec->id == AV_CODEC_ID_AV1;
    if (odd && halves && takes_format(codec, AV_PIX_FMT_YUV444P))
        return AV_PIX_FMT_YUV444P;
    static const enum AVPixelFormat wanted[] = {AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUV420P,
                                                AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUV444P,
                                                AV_PIX_FMT_RGB24,    AV_PIX_FMT_BGR0};
    for (size_t i = codec->id == AV_CODEC_ID_MJPEG ? 0 : 1; i < sizeof wanted / sizeof wanted[0];
         i++)
        if (takes_format(codec, wanted[i]))
            return wanted[i];
    return codec->pix_fmts[0];
}

/* The input's, unless the codec cannot count that finely, or the container knows one rate only.
 * (AVFMT_VARIABLE_FPS does not tell: .mp4 lacks it.) */
static AVRational time_base(const struct video_writer_settings *s, const AVOutputFormat *container,
                            const AVCodec *codec, AVRational rate)
{
    const AVRational wanted = {s->time_base.num, s->time_base.den};
    if (strcmp(container->name, "avi") == 0 || wanted.num < 1 || wanted.den < 1)
        return av_inv_q(rate);
    if (codec->id == AV_CODEC_ID_MPEG4 && wanted.den > 65535)
        return (AVRational){1, 60000};
    return wanted;
}

static void set_options(const AVCodec *codec, AVDictionary **options)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].encoder, codec->name) == 0)
            for (int k = 0; k < 4 && known[i].options[k][0] != NULL; k++)
                av_dict_set(options, known[i].options[k][0], known[i].options[k][1], 0);
}

det_status video_choose_encoder(struct det_env *env, const struct video_writer_settings *s,
                                const AVOutputFormat *container, AVCodecContext **out,
                                AVDictionary **options)
{
    const AVCodec *codec = s->codec != NULL ? find_encoder(s->codec) : best_encoder(container);
    *out = NULL;
    if (codec == NULL)
        return det_fail(env, DET_STATUS_UNSUPPORTED,
                        "%s: no encoder \"%s\" in this FFmpeg: expected h264, hevc, vp9, av1, "
                        "mjpeg, mpeg4 or the name of an encoder (ffmpeg -encoders)",
                        s->path, s->codec != NULL ? s->codec : "for this container");
    if (avformat_query_codec(container, codec->id, FF_COMPLIANCE_NORMAL) == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: %s cannot go into a file of format %s: choose another --codec or "
                        "extension (.mkv takes all)",
                        s->path, avcodec_get_name(codec->id), container->name);
    AVCodecContext *c = avcodec_alloc_context3(codec);
    if (c == NULL)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: no memory for the encoder", s->path);
    *out = c;
    const AVRational rate = av_d2q(s->frame_rate > 0 ? s->frame_rate : 25, 100000);
    c->width = s->width;
    c->height = s->height;
    c->sample_aspect_ratio = (AVRational){s->pixel_shape.num, s->pixel_shape.den};
    c->framerate = rate;
    c->time_base = time_base(s, container, codec, rate);
    c->pix_fmt = pixel_format(codec, s->width, s->height);
    c->thread_count = s->threads;
    c->gop_size = (int)lrint(10 * av_q2d(rate)) > 0 ? (int)lrint(10 * av_q2d(rate)) : 1;
    const bool jpeg = codec->id == AV_CODEC_ID_MJPEG;
    c->color_range = jpeg ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    c->colorspace =
        jpeg ? AVCOL_SPC_SMPTE170M : video_colour_space(AVCOL_SPC_UNSPECIFIED, s->height);
    if (!jpeg && c->colorspace == AVCOL_SPC_BT709) {
        c->color_primaries = AVCOL_PRI_BT709;
        c->color_trc = AVCOL_TRC_BT709;
    }
    if (jpeg || codec->id == AV_CODEC_ID_MPEG4) { /* constant quality, 1 (best) to 31 */
        c->flags |= AV_CODEC_FLAG_QSCALE;
        c->global_quality = 3 * FF_QP2LAMBDA;
    }
    if ((container->flags & AVFMT_GLOBALHEADER) != 0)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    set_options(codec, options);
    return DET_OK;
}
