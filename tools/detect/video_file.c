#include "detect/video_file.h"

#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"
#include "detect/names.h"

static det_status output_path(struct det_env *env, const char *name, const char *output,
                              char **path)
{
    if (output == NULL)
        return det_format(env, path, "%.*s_detected.mp4", names_stem(name), name);
    if (is_video_name(output))
        return det_strdup(env, path, output);
    return det_format(env, path, "%s/%.*s.mp4", output, names_stem(name), name);
}

static det_status refuse_input(struct det_env *env, const char *input, const char *path)
{
    struct stat a, b;
    if (stat(input, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "--output %s: is the input, which would be overwritten", path);
    return DET_OK;
}

det_status video_file_begin(struct det_env *env, struct tool *tool, struct video_reader *reader,
                            const char *input, const char *name, const char *output,
                            const char *codec, struct video_writer **writer)
{
    const struct video_info *info = video_reader_info(reader);
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(output_path(env, name, output, &path));
    DET_TRY(refuse_input(env, input, path));
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
