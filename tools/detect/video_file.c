#include "detect/video_file.h"

#include <string.h>

#include "common/output.h"
#include "detect/names.h"
#include "support/io.h"
#include "support/mem.h"

static det_status path_of_output(struct det_env *env, const char *name, const char *output,
                                 char **path)
{
    if (output == NULL)
        return det_format(env, path, "%.*s_detected.mp4", (int)det_path_stem_length(name), name);
    if (is_video_name(output))
        return det_strdup(env, path, output);
    return det_path_join_printf(env, path, output, "%.*s.mp4", (int)det_path_stem_length(name),
                                name);
}

det_status video_file_announce(struct det_env *env, struct tool *tool, const char *input,
                               const char *name, const char *output)
{
    char *path = NULL, *what = NULL;
    det_status status = DET_OK;
    if (output != NULL && !is_video_name(output))
        DET_TRY_RETURN(det_make_directories(env, output));
    DET_TRY(path_of_output(env, name, output, &path));
    DET_TRY(det_format(env, &what, "%s, annotated as", input));
    DET_TRY(tool_writes(tool, what, path));
fail:
    det_free(env, &path);
    det_free(env, &what);
    return status;
}

det_status video_file_begin(struct det_env *env, struct tool *tool, struct video_reader *reader,
                            const char *input, const char *name, const char *output,
                            const char *codec, struct video_writer **writer)
{
    const struct video_info *info = video_reader_info(reader);
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(path_of_output(env, name, output, &path));
    const struct video_writer_settings settings = {.path = path,
                                                   .codec = codec,
                                                   .width = info->width,
                                                   .height = info->height,
                                                   .frame_rate = info->frame_rate,
                                                   .time_base = info->time_base,
                                                   .pixel_shape = info->pixel_shape,
                                                   .audio_from = reader};
    DET_TRY(video_writer_open(env, &settings, writer));
    tool_log(tool, DET_LOG_INFO, "%s: %s, %d x %d%s, %.3g frames a second; to %s: %s", input,
             info->codec, info->width, info->height, info->orientation != 1 ? " (turned)" : "",
             info->frame_rate, path, video_writer_about(*writer));
fail:
    det_free(env, &path);
    return status;
}
