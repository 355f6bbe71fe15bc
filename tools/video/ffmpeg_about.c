/* Only macros: det-info links no FFmpeg for it. */
#include <libavcodec/version.h>
#include <libavdevice/version.h>
#include <libavformat/version.h>
#include <libavutil/avutil.h>
#include <libavutil/version.h>

#include "video/video.h"

const char *video_about(void)
{
    return "FFmpeg: libavformat " AV_STRINGIFY(LIBAVFORMAT_VERSION) ", libavcodec " AV_STRINGIFY(
        LIBAVCODEC_VERSION) ", libavdevice " AV_STRINGIFY(LIBAVDEVICE_VERSION);
}

bool video_available(void)
{
    return true;
}
