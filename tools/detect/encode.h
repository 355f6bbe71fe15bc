/* encode.h: a frame's pixels as the bytes of a picture's file. */
#ifndef DET_TOOLS_DETECT_ENCODE_H
#define DET_TOOLS_DETECT_ENCODE_H

#include "det/image.h"
#include "support/image.h"

/* quality as det_picture_encode() has it. *data [*bytes] belong to *picture, which the caller
 * destroys; `context` is that of the thread that calls, messages go to `env`. */
det_status encode_image(struct det_env *env, det_context *context, const struct det_image *image,
                        det_picture_kind kind, int quality, det_picture **picture,
                        const uint8_t **data, size_t *bytes);

#endif
