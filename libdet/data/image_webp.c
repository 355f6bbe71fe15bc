/* image_webp.c: WebP by libwebp to RGB8; alpha is dropped, as of a PNG. Of an animation its first
 * frame, black where that does not reach (animations have no colour of their own there that
 * decoders agree on).
 *
 * The build needs libwebp's headers only: the library is loaded for each picture and closed after
 * it, so a program links nothing for a kind of picture that it may never meet, and libdet keeps no
 * state for it.
 *
 * libwebp takes its memory from malloc; what it cannot get is OUT_OF_MEMORY. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "base/library.h"
#include "data/image_codec.h"

/* X(name) for each function; the headers wrap those that end with Internal. */
#define EACH_OF_WEBP(X)              \
    X(WebPInitDecoderConfigInternal) \
    X(WebPGetFeaturesInternal)       \
    X(WebPDecode)                    \
    X(WebPFreeDecBuffer)
#define EACH_OF_DEMUX(X)        \
    X(WebPDemuxInternal)        \
    X(WebPDemuxGetFrame)        \
    X(WebPDemuxReleaseIterator) \
    X(WebPDemuxDelete)

struct webp {
    struct det_env *env;
    const char *name;    /* the picture's, for messages */
    char what[600];      /* the same, where a library is missing */
    void *codec, *demux; /* what dlopen() gave; demux only for an animation */
#define MEMBER(name) __typeof__(name) *name;
    EACH_OF_WEBP(MEMBER)
    EACH_OF_DEMUX(MEMBER)
#undef MEMBER
};

const char *det_image_webp_missing(void)
{
    return NULL;
}

static det_status open_codec(struct webp *webp)
{
    static const char *const names[] = {"libwebp.so.7", NULL};
    det_any_function function = NULL;
    DET_TRY_RETURN(det_library_load(webp->env, webp->what, names,
                                    "libwebp (Debian's package libwebp7)", &webp->codec));
#define FIND(name)                                                                              \
    DET_TRY_RETURN(det_library_function(webp->env, webp->what, webp->codec, #name, &function)); \
    webp->name = (__typeof__(name) *)function;
    EACH_OF_WEBP(FIND)
#undef FIND
    errno = 0;
    return DET_OK;
}

static det_status open_demux(struct webp *webp)
{
    static const char *const names[] = {"libwebpdemux.so.2", NULL};
    det_any_function function = NULL;
    DET_TRY_RETURN(det_library_load(webp->env, webp->what, names,
                                    "libwebp (Debian's package libwebpdemux2)", &webp->demux));
#define FIND(name)                                                                              \
    DET_TRY_RETURN(det_library_function(webp->env, webp->what, webp->demux, #name, &function)); \
    webp->name = (__typeof__(name) *)function;
    EACH_OF_DEMUX(FIND)
#undef FIND
    errno = 0;
    return DET_OK;
}

static void close_libraries(struct webp *webp)
{
    if (webp->demux != NULL)
        dlclose(webp->demux);
    if (webp->codec != NULL)
        dlclose(webp->codec);
}

/* Of some of its allocations libwebp says only that the data are damaged: errno, 0 since the
 * library was opened, tells. */
static det_status failed(const struct webp *webp, VP8StatusCode code)
{
    struct det_env *env = webp->env;
    const char *name = webp->name;
    if (code == VP8_STATUS_OUT_OF_MEMORY || errno == ENOMEM)
        return det_fail(env, DET_STATUS_OUT_OF_MEMORY, "%s: WebP: no memory to decode it", name);
    if (code == VP8_STATUS_NOT_ENOUGH_DATA || code == VP8_STATUS_SUSPENDED)
        return det_fail(env, DET_STATUS_CORRUPT, "%s: truncated WebP", name);
    return det_fail(env, DET_STATUS_CORRUPT, "%s: WebP: damaged data (libwebp's status %d)", name,
                    (int)code);
}

/* One bitstream into the picture at (left, top), where it must fit. */
static det_status decode_frame(const struct webp *webp, const uint8_t *data, size_t bytes, int left,
                               int top, const struct det_image *image)
{
    struct det_env *env = webp->env;
    const char *name = webp->name;
    WebPDecoderConfig config;
    if (!webp->WebPInitDecoderConfigInternal(&config, WEBP_DECODER_ABI_VERSION))
        return det_fail(env, DET_STATUS_INTERNAL, "%s: another libwebp than it was built for",
                        name);
    const VP8StatusCode code =
        webp->WebPGetFeaturesInternal(data, bytes, &config.input, WEBP_DECODER_ABI_VERSION);
    if (code != VP8_STATUS_OK)
        return failed(webp, code);
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
    const VP8StatusCode decoded = webp->WebPDecode(data, bytes, &config);
    webp->WebPFreeDecBuffer(&config.output);
    return decoded == VP8_STATUS_OK ? DET_OK : failed(webp, decoded);
}

static det_status decode_animation(struct webp *webp, const uint8_t *data, size_t bytes,
                                   const struct det_image *image)
{
    const WebPData all = {.bytes = data, .size = bytes};
    WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
    WebPIterator frame;
    det_status status = DET_OK;
    DET_TRY_RETURN(open_demux(webp));
    WebPDemuxer *demuxer = webp->WebPDemuxInternal(&all, 1, &state, WEBP_DEMUX_ABI_VERSION);
    if (demuxer == NULL)
        return failed(webp, VP8_STATUS_BITSTREAM_ERROR);
    memset(image->rgb, 0, (size_t)image->width * (size_t)image->height * 3);
    if (webp->WebPDemuxGetFrame(demuxer, 1, &frame)) {
        status = frame.complete ? decode_frame(webp, frame.fragment.bytes, frame.fragment.size,
                                               frame.x_offset, frame.y_offset, image)
                                : failed(webp, VP8_STATUS_NOT_ENOUGH_DATA);
        webp->WebPDemuxReleaseIterator(&frame);
    } else {
        status = failed(webp, VP8_STATUS_BITSTREAM_ERROR);
    }
    webp->WebPDemuxDelete(demuxer);
    return status;
}

static det_status decode(struct webp *webp, const uint8_t *data, size_t bytes,
                         struct det_image *image)
{
    WebPBitstreamFeatures features;
    DET_TRY_RETURN(open_codec(webp));
    const VP8StatusCode code =
        webp->WebPGetFeaturesInternal(data, bytes, &features, WEBP_DECODER_ABI_VERSION);
    if (code != VP8_STATUS_OK)
        return failed(webp, code);
    const uint32_t width = (uint32_t)features.width, height = (uint32_t)features.height;
    DET_TRY_RETURN(det_image_size_check(webp->env, webp->name, DET_IMAGE_WEBP, width, height));
    DET_TRY_RETURN(det_image_resize_buffer(webp->env, image, features.width, features.height));
    return features.has_animation ? decode_animation(webp, data, bytes, image)
                                  : decode_frame(webp, data, bytes, 0, 0, image);
}

det_status det_webp_decode(struct det_env *env, const char *name, const uint8_t *data, size_t bytes,
                           struct det_image *image)
{
    struct webp webp = {.env = env, .name = name};
    snprintf(webp.what, sizeof webp.what, "%.500s: a WebP image", name);
    const det_status status = decode(&webp, data, bytes, image);
    close_libraries(&webp);
    return status;
}
