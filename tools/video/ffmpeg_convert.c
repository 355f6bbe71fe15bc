/* ffmpeg_convert.c: decoded pictures to upright RGB. */
#include <libswscale/swscale.h>

#include "support/mem.h"
#include "video/ffmpeg_parts.h"

struct video_converter {
    struct SwsContext *scaler;
    int32_t width, height, format, space; /* what the scaler is set for */
    bool full_range;
    struct det_image lying; /* before it is turned */
};

static det_status scale(struct det_env *env, struct video_converter *c, const AVFrame *picture,
                        struct det_image *to)
{
    const bool full =
        picture->color_range == AVCOL_RANGE_JPEG || picture->format == AV_PIX_FMT_YUVJ420P ||
        picture->format == AV_PIX_FMT_YUVJ422P || picture->format == AV_PIX_FMT_YUVJ444P;
    if (c->scaler == NULL || c->width != picture->width || c->height != picture->height ||
        c->format != picture->format || c->space != (int32_t)picture->colorspace ||
        c->full_range != full) {
        sws_freeContext(c->scaler);
        c->scaler =
            sws_getContext(picture->width, picture->height, (enum AVPixelFormat)picture->format,
                           to->width, to->height, AV_PIX_FMT_RGB24, SWS_BICUBIC, NULL, NULL, NULL);
        if (c->scaler == NULL)
            return det_fail(env, DET_STATUS_UNSUPPORTED,
                            "video: cannot convert pixel format %d of %d x %d to RGB",
                            picture->format, picture->width, picture->height);
        video_set_colours(c->scaler, picture->colorspace, full, picture->height, true);
        c->width = picture->width;
        c->height = picture->height;
        c->format = picture->format;
        c->space = (int32_t)picture->colorspace;
        c->full_range = full;
    }
    uint8_t *const planes[4] = {to->rgb};
    const int strides[4] = {to->width * 3};
    const int rows = sws_scale(c->scaler, (const uint8_t *const *)picture->data, picture->linesize,
                               0, picture->height, planes, strides);
    return rows == to->height
               ? DET_OK
               : video_fail(env, rows < 0 ? rows : AVERROR_EXTERNAL, "video: conversion to RGB");
}

det_status video_frame_rgb(struct det_env *env, struct video_converter **converter,
                           const struct video_reader *reader, const struct video_frame *frame,
                           struct det_image *image)
{
    const struct video_info *info = video_reader_info(reader);
    if (*converter == NULL)
        DET_TRY_RETURN(det_alloc(env, converter, 1, sizeof **converter, "video converter"));
    struct video_converter *c = *converter;
    DET_TRY_RETURN(det_image_resize_buffer(env, image, info->width, info->height));
    if (info->orientation == 1)
        return scale(env, c, frame->picture, image);
    const bool turned = det_exif_swaps_sides(info->orientation);
    DET_TRY_RETURN(det_image_resize_buffer(env, &c->lying, turned ? info->height : info->width,
                                           turned ? info->width : info->height));
    DET_TRY_RETURN(scale(env, c, frame->picture, &c->lying));
    det_exif_turn_into(&c->lying, info->orientation, image);
    return DET_OK;
}

void video_converter_free(struct det_env *env, struct video_converter **converter)
{
    if (*converter == NULL)
        return;
    sws_freeContext((*converter)->scaler);
    det_image_free(env, &(*converter)->lying);
    det_free(env, converter);
}
