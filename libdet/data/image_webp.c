/* image_webp.c: WebP by libwebp to RGB8; alpha is dropped, as of a PNG. Of an animation its first frame, black where that
 * does not reach (animations have no colour of their own there that decoders agree on).
 *
 * libwebp takes its memory from malloc; what it cannot get is OUT_OF_MEMORY. */
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "data/image_codec.h"

const char *det_webp_missing(void)
{
    return NULL;
}

static det_status failed(struct det_env *env, const char *name, VP8StatusCode code)
{
    if (code == VP8_STATUS_OUT_OF_MEMORY)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: WebP: no memory to decode it", name);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: truncated WebP", name);
    return det_fail(env, DET_STATUS_CORRUPT, "%s: WebP: damaged data (libwebp's status %d)", name,
                    (int)code);
}

/* One bitstream into the picture at (left, top), where it must fit. */
static det_status decode_frame(struct det_env *env, const char *name, const uint8_t *data,
                               size_t bytes, int left, int top, const struct det_image *image)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return det_fail(env, DET_STATUS_INTERNAL, "%s: another libwebp than it was built for",
                        name);
    const VP8StatusCode code = WebPGetFeatures(data, bytes, &config.input);
    if (code != VP8_STATUS_OK)
        return failed(env, name, code);
    if (left < 0 || top < 0 || config.input.width > image->width - left ||
        config.input.height > image->height - top)
        return det_fail(
            env, DET_STATUS_CORRUPT, "%s: WebP: a frame of %d x %d pixels at %d, %d of %d x %d",
            name, config.input.width, config.input.height, left, top, image->width, image->height);
    const size_t stride = (size_t)image->width * 3,
                 offset = (size_t)top * stride + (size_t)left * 3;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image->rgb + offset;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = (size_t)image->height * stride - offset;
    const VP8StatusCode decoded = WebPDecode(data, bytes, &config);
    WebPFreeDecBuffer(&config.output);
    return decoded == VP8_STATUS_OK ? DET_OK : failed(env, name, decoded);
}

static det_status decode_animation(struct det_env *env, const char *name, const uint8_t *data,
                                   size_t bytes, const struct det_image *image)
{
    const WebPData all = {.bytes = data, .size = bytes};
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    WebPDemuxer *demuxer = WebPDemuxPartial(&all, &state);
    WebPIterator frame;
    det_status status = DET_OK;
    if (demuxer == NULL)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: WebP: damaged animation", name);
    memset(image->rgb, 0, (size_t)image->width * (size_t)image->height * 3);
    if (WebPDemuxGetFrame(demuxer, 1, &frame)) {
        status = frame.complete ? decode_frame(env, name, frame.fragment.bytes, frame.fragment.size,
                                               frame.x_offset, frame.y_offset, image)
                                : failed(env, name, VP8_STATUS_NOT_ENOUGH_DATA);
        WebPDemuxReleaseIterator(&frame);
    } else {
        status = det_fail(env, DET_STATUS_CORRUPT, "%s: WebP animation without a frame", name);
    }
    WebPDemuxDelete(demuxer);
    return status;
}

det_status det_webp_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image *image)
{
    WebPBitstreamFeatures features;
    const VP8StatusCode code = WebPGetFeatures(data, bytes, &features);
    if (code != VP8_STATUS_OK)
        return failed(env, name, code);
    const uint32_t width = (uint32_t)features.width, height = (uint32_t)features.height;
    DET_TRY_RETURN(det_image_size_check(env, name, DET_IMAGE_WEBP, width, height));
    DET_TRY_RETURN(det_image_resize_buffer(env, image, features.width, features.height));
    return features.has_animation ? decode_animation(env, name, data, bytes, image)
                                  : decode_frame(env, name, data, bytes, 0, 0, image);
}
