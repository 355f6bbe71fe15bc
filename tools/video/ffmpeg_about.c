/* Only macros: det-info links no FFmpeg for it. */
#include <libavcodec/version.h>
#include <libavdevice/version.h>
#include <libavformat/version.h>
#include <libavutil/avutil.h>
#include <libavutil/version.h>

#include "video/video.h"

const char *video_about(void)
{
    /* cppcheck-suppress unknownMacro */
    return "FFmpeg: " LIBAVFORMAT_IDENT ", " LIBAVCODEC_IDENT ", " LIBAVDEVICE_IDENT;
}

bool video_available(void)
{
    return true;
}
