#include "track/kalman.h"

#include <math.h>

static const float place_share = 1.0F / 20, speed_share = 1.0F / 160;

static void measure(const float box[4], float value[4])
{
    value[0] = 0.5F * (box[1] + box[3]);
    value[1] = 0.5F * (box[0] + box[2]);
    value[2] = box[3] - box[1];
    value[3] = box[2] - box[0];
}

/* Width for the x axis and the width, height for the others; never nothing. */
static float size_of(const struct det_kalman *filter, int axis)
{
    return fmaxf(1, filter->axis[axis % 2 == 0 ? 2 : 3].place);
}

void det_kalman_begin(struct det_kalman *filter, const float box[4])
{
    float value[4];
    measure(box, value);
    for (int i = 0; i < 4; i++)
        filter->axis[i].place = value[i];
    for (int i = 0; i < 4; i++) {
        const float place = 2 * place_share * size_of(filter, i),
                    speed = 10 * speed_share * size_of(filter, i);
        filter->axis[i].speed = 0;
        filter->axis[i].place_var = place * place;
        filter->axis[i].covariance = 0;
        filter->axis[i].speed_var = speed * speed;
    }
}

void det_kalman_predict(struct det_kalman *filter, float frames, int still)
{
    float noise[4][2];
    for (int i = 0; i < 4; i++) {
        noise[i][0] = place_share * size_of(filter, i);
        noise[i][1] = speed_share * size_of(filter, i);
    }
    for (int i = 0; i < 4; i++) {
        const float t = frames;
        if (still && i >= 2)
            filter->axis[i].speed = 0;
        filter->axis[i].place += t * filter->axis[i].speed;
        filter->axis[i].place_var +=
            t * (2 * filter->axis[i].covariance + t * filter->axis[i].speed_var) +
            t * noise[i][0] * noise[i][0];
        filter->axis[i].covariance += t * filter->axis[i].speed_var;
        filter->axis[i].speed_var += t * noise[i][1] * noise[i][1];
    }
}

void det_kalman_correct(struct det_kalman *filter, const float box[4])
{
    float value[4], noise[4];
    measure(box, value);
    for (int i = 0; i < 4; i++)
        noise[i] = place_share * size_of(filter, i);
    for (int i = 0; i < 4; i++) {
        const float total = filter->axis[i].place_var + noise[i] * noise[i];
        const float gain = filter->axis[i].place_var / total,
                    speed_gain = filter->axis[i].covariance / total;
        const float error = value[i] - filter->axis[i].place;
        filter->axis[i].place += gain * error;
        filter->axis[i].speed += speed_gain * error;
        filter->axis[i].speed_var -= speed_gain * filter->axis[i].covariance;
        filter->axis[i].covariance *= 1 - gain;
        filter->axis[i].place_var *= 1 - gain;
    }
}

void det_kalman_box(const struct det_kalman *filter, float box[4])
{
    const float width = fmaxf(0, filter->axis[2].place), height = fmaxf(0, filter->axis[3].place);
    box[0] = filter->axis[1].place - 0.5F * height;
    box[1] = filter->axis[0].place - 0.5F * width;
    box[2] = box[0] + height;
    box[3] = box[1] + width;
}
