#include "model/box_coder.h"

#include <math.h>

#define EPSILON          1e-8f
#define LOG_SIZE_AT_MOST 80.0f

struct center {
    float y, x, height, width;
};

static struct center center_of(const float box[4])
{
    const float height = box[2] - box[0], width = box[3] - box[1];
    return (struct center){box[0] + height / 2, box[1] + width / 2, height, width};
}

void det_box_encode(const struct det_box_coder *coder, const float box[4], const float anchor[4],
                    float encoding[4])
{
    struct center a = center_of(anchor), b = center_of(box);
    a.height += EPSILON;
    a.width += EPSILON;
    b.height += EPSILON;
    b.width += EPSILON;
    encoding[0] = (b.y - a.y) / a.height * coder->y_scale;
    encoding[1] = (b.x - a.x) / a.width * coder->x_scale;
    encoding[2] = logf(b.height / a.height) * coder->height_scale;
    encoding[3] = logf(b.width / a.width) * coder->width_scale;
}

/* NaN stays NaN. */
static float size_factor(float log_size)
{
    return expf(log_size > LOG_SIZE_AT_MOST ? LOG_SIZE_AT_MOST : log_size);
}

void det_box_decode(const struct det_box_coder *coder, const float encoding[4],
                    const float anchor[4], float box[4])
{
    const struct center a = center_of(anchor);
    const float height = size_factor(encoding[2] / coder->height_scale) * a.height;
    const float width = size_factor(encoding[3] / coder->width_scale) * a.width;
    const float y = encoding[0] / coder->y_scale * a.height + a.y;
    const float x = encoding[1] / coder->x_scale * a.width + a.x;
    box[0] = y - height / 2;
    box[1] = x - width / 2;
    box[2] = y + height / 2;
    box[3] = x + width / 2;
}
