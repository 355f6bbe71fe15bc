/* starter.h: how det/starter.h chooses. starter.c looks at the set, starter_anchors.c chooses the
 * anchors, starter_text.c writes the config. */
#ifndef DET_TRAIN_STARTER_H
#define DET_TRAIN_STARTER_H

#include "det/starter.h"
#include "model/spec.h"
#include "support/text.h"

/* What a split has. */
struct det_starter_data {
    size_t images, boxes;
    int32_t classes;
    size_t most_boxes;   /* of an image */
    float (*shares)[4];  /* [boxes] as the records have them */
    double *sides;       /* [boxes] rising: square root of the share of the picture's area */
    double *aspects;     /* [boxes] rising: width / height in the network's square frame */
    bool sided;          /* a class is called left or right */
    int32_t median_side; /* of the pictures: the shorter one, in pixels */
};

/* Sets scale, aspects and both shares; the zoo's anchors stay where others would not fit clearly
 * better. */
det_status det_starter_choose_anchors(struct det_env *env, const struct det_starter_data *data,
                                      det_starter_choices *choices);

/* The whole config. */
det_status det_starter_text(struct det_env *env, const struct det_starter_data *data,
                            const det_starter_settings *settings,
                            const det_starter_choices *choices, struct det_text *text);

#endif
