/* Stands in for ffmpeg_about.c. */
#include "video/video.h"

const char *video_about(void)
{
    return "none: built without FFmpeg; install libavformat-dev libavcodec-dev libavutil-dev "
           "libswscale-dev libavdevice-dev and build again";
}

bool video_available(void)
{
    return false;
}
