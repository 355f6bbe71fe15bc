/* video_file.h: where an annotated video goes. */
#ifndef DET_TOOLS_DETECT_VIDEO_FILE_H
#define DET_TOOLS_DETECT_VIDEO_FILE_H

#include "common/tool.h"
#include "video/video.h"

/* Names the file that video_file_begin() will write as an output (common/output.h). `output`: a
 * file, a folder (NAME.mp4 in it, it is made), NULL: NAME_detected.mp4 in the working folder;
 * `name` as names.h has it. */
det_status video_file_announce(struct det_env *env, struct tool *tool, const char *input,
                               const char *name, const char *output);
/* Says what it reads and writes. */
det_status video_file_begin(struct det_env *env, struct tool *tool, struct video_reader *reader,
                            const char *input, const char *name, const char *output,
                            const char *codec, struct video_writer **writer);

#endif
