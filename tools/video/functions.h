/* functions.h: video.h as a table, which is all that det-video.so (ffmpeg_*.c) shows to
 * load_video.c in the programs. */
#ifndef DET_TOOLS_VIDEO_FUNCTIONS_H
#define DET_TOOLS_VIDEO_FUNCTIONS_H

#include "video/video.h"

/* The name of the table in det-video.so. */
#define VIDEO_FUNCTIONS "det_video_functions"

struct video_functions {
    const char *build; /* tools_build */
    __typeof__(video_reader_open) *reader_open;
    __typeof__(video_reader_info) *reader_info;
    __typeof__(video_reader_next) *reader_next;
    __typeof__(video_frame_release) *frame_release;
    __typeof__(video_reader_verdict) *reader_verdict;
    __typeof__(video_reader_close) *reader_close;
    __typeof__(video_frame_rgb) *frame_rgb;
    __typeof__(video_converter_free) *converter_free;
    __typeof__(video_writer_open) *writer_open;
    __typeof__(video_writer_about) *writer_about;
    __typeof__(video_writer_frame) *writer_frame;
    __typeof__(video_writer_close) *writer_close;
};

#endif
