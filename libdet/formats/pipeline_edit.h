/* pipeline_edit.h: a field of pipeline.config set from outside, in the file's text, so that what
 * runs can be kept and read by the TF Object Detection API as well. */
#ifndef DET_FORMATS_PIPELINE_EDIT_H
#define DET_FORMATS_PIPELINE_EDIT_H

#include "support/text.h"

/* Changes `text`, the contents of the file `name`, by "PATH=VALUE": PATH are names of fields with
 * "." between them; in a list of messages "NAME[0]" is the first, which may be left out where there
 * is one. The field's old values go, comments and all other lines stay; messages on the way that
 * are not there are added. VALUE is written as in the file, a string without its quotes, a message
 * as "{ ... }", a list as "[1, 2]". INVALID_ARGUMENT says what is wrong with PATH or VALUE; whether
 * the value suits is seen when the text is read. */
det_status det_pipeline_edit(struct det_env *env, const char *name, const char *assignment,
                             struct det_text *text);

#endif
