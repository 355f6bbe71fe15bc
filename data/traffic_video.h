/* traffic_video.h: a traffic video of one random road scene, and what is in each of its frames. */
#ifndef DEMO_TRAFFIC_VIDEO_H
#define DEMO_TRAFFIC_VIDEO_H

#include <stdint.h>

#include "support/env.h"

struct video_options {
    const char *path; /* NAME.mp4; NAME.truth.json goes beside it */
    double seconds, frame_rate;
    int32_t width, height;
    uint64_t seed;
};

struct video_summary {
    int64_t frames;
    int64_t boxes, vehicles;         /* vehicles: different ones */
    int64_t forward[4], backward[4]; /* through the line, [0] all, then by class */
};

/* Height of the horizontal line that the truth counts vehicles through, as a share of the
 * picture's. */
#define VIDEO_LINE 0.62F

/* Writes the video with a tone as its audio, and NAME.truth.json: a COCO data set whose annotations
 * have a "track_id", with "counts" of the line {"line": [0, y, 1, y], "forward": {"all", "car",
 * ...}, "backward": {...}}; forward is downwards. The same options give the same pictures. */
det_status video_write(struct det_env *env, const struct video_options *options,
                       struct video_summary *summary);

#endif
