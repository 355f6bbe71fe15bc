/* frame.h: one picture on its way through det-detect. */
#ifndef DET_TOOLS_DETECT_FRAME_H
#define DET_TOOLS_DETECT_FRAME_H

#include "det/detector.h"
#include "det/image.h"
#include "video/video.h"

enum stage {
    STAGE_DECODE,
    STAGE_PREPROCESS, /* to RGB, upright, to the network's input */
    STAGE_NETWORK,
    STAGE_POSTPROCESS,
    STAGE_DRAW, /* tracking and counting too */
    STAGE_WRITE,
    STAGE_COUNT
};

struct frame {
    struct det_image image;
    det_picture *picture;     /* of an image file: `image` is its pixels; NULL: they are its own */
    struct video_frame video; /* not yet converted; empty for image files */
    const char *source;       /* the image file, or the video */
    const char *name;         /* what that is called in outputs: see names.h */
    bool of_video;
    int orientation; /* of an image file, by which it was turned upright; 1: as it is */
    int64_t index;   /* in its video, dropped frames counted; of image files: among all */
    int64_t ticks;
    double time_s;
    int64_t number; /* order of work */
    det_detection *found;
    int64_t *track_ids; /* of each; 0: not tracked */
    size_t count, capacity, id_capacity;
    float top_score; /* of anything, below the threshold too */
    int32_t top_class;
    double ms[STAGE_COUNT];
    bool painted;      /* no painting before failed, nor this one's: the frame may go out */
    det_status status; /* why there is nothing to show */
    char message[DET_ERROR_BYTES];
};

#endif
