#include "video/build.h"
#include "video/functions.h"

extern const struct video_functions det_video_functions;

__attribute__((visibility("default"))) const struct video_functions det_video_functions = {
    .build = tools_build,
    .reader_open = video_reader_open,
    .reader_info = video_reader_info,
    .reader_next = video_reader_next,
    .frame_release = video_frame_release,
    .reader_verdict = video_reader_verdict,
    .reader_close = video_reader_close,
    .frame_rgb = video_frame_rgb,
    .converter_free = video_converter_free,
    .writer_open = video_writer_open,
    .writer_about = video_writer_about,
    .writer_frame = video_writer_frame,
    .writer_close = video_writer_close,
};
