/* kalman.h: filter of a box with constant speed: centre x, centre y, width, height and their
 * speeds.
 *
 * Noise in proportion to the box as in ByteTrack (kalman_filter.py: 1/20 of the size for places,
 * 1/160 for speeds), width and height instead of aspect and height as in BoT-SORT (Aharon et al.,
 * 2022). As all noise is independent by coordinate, so are the four filters of two states each; the
 * 8 x 8 covariance of the usual formulation is block diagonal. */
#ifndef DET_TRACK_KALMAN_H
#define DET_TRACK_KALMAN_H

struct det_kalman {
    struct {
        float place, speed; /* speed per frame */
        float place_var, covariance, speed_var;
    } axis[4]; /* x, y, width, height */
};

/* box: ymin, xmin, ymax, xmax in pixels. */
void det_kalman_begin(struct det_kalman *filter, const float box[4]);
/* `frames` later, need not be whole. still: width and height stay (the object is not seen). */
void det_kalman_predict(struct det_kalman *filter, float frames, int still);
void det_kalman_correct(struct det_kalman *filter, const float box[4]);
void det_kalman_box(const struct det_kalman *filter, float box[4]);

#endif
