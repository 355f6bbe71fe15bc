/* mjpeg.h: shows frames in a browser: an HTTP server on the loopback address with a page at / and
 * the stream at /stream (multipart/x-mixed-replace of JPEG). A client that is slow misses frames
 * and holds nobody up; one that takes too long for its request or for a frame is sent away, one
 * above 16 too. */
#ifndef DET_TOOLS_DETECT_MJPEG_H
#define DET_TOOLS_DETECT_MJPEG_H

#include "det/context.h"
#include "support/image.h"

struct mjpeg;

/* port 1 to 65535 on 127.0.0.1. */
det_status mjpeg_open(struct det_env *env, int port, struct mjpeg **mjpeg);
/* Encodes and hands the frame to all that look; nothing while nobody does. `context`: of the thread
 * that calls. */
det_status mjpeg_frame(struct det_env *env, struct mjpeg *mjpeg, det_context *context,
                       const struct det_image *image);
/* Ends all connections, after a second at most for the last frame. NULL is allowed. */
void mjpeg_close(struct det_env *env, struct mjpeg **mjpeg);

#endif
