/* limits.h: how much work a file may ask for before it is refused. A small file can stand for a large picture or for
 * thousands of passes over one; whoever opens files of strangers needs a bound that does not depend on the file. Part of
 * every env; set by det_context_settings. */
#ifndef DET_BASE_LIMITS_H
#define DET_BASE_LIMITS_H

#include <stdint.h>

/* A picture of 108 million pixels, the most that common cameras make, passes. */
#define DET_DEFAULT_IMAGE_PIXELS 120000000
/* Three bytes a pixel are counted in 32 bits here and there. */
#define DET_MOST_IMAGE_PIXELS (INT32_MAX / 3)
/* Encoders write 3 to 20. */
#define DET_DEFAULT_JPEG_SCANS 100

struct det_limits {
    uint64_t max_image_pixels; /* width x height of a picture in its file */
    int32_t
        max_jpeg_scans; /* of a progressive JPEG; scans x pixels stay within 20 x max_image_pixels besides */
};

#endif
