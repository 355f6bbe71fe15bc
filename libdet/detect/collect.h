/* collect.h: what post-processing found as the public struct. */
#ifndef DET_DETECT_COLLECT_H
#define DET_DETECT_COLLECT_H

#include <math.h>

#include "det/detector.h"
#include "model/postprocess.h"

/* Into detections [found->count]; how many. */
static inline size_t det_collect(const struct det_detections *found, det_detection *detections)
{
    for (int32_t i = 0; i < found->count; i++) {
        float box[4];
        /* Inside the window already; its rounding may pass 1 by a bit. */
        for (int c = 0; c < 4; c++)
            box[c] = fminf(fmaxf(found->boxes[i][c], 0), 1);
        detections[i] = (det_detection){.class_id = found->class_index[i] + 1,
                                        .score = found->score[i],
                                        .ymin = box[0],
                                        .xmin = box[1],
                                        .ymax = box[2],
                                        .xmax = box[3]};
    }
    return (size_t)found->count;
}

#endif
