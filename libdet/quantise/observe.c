#include "quantise/observe.h"

#include <math.h>
#include <string.h>

#include "support/mem.h"

#define HALF_BINS (0.5 * DET_OBSERVED_BINS)
#define LEFT_OUT  1e-4 /* share of the values that PERCENTILE does not cover */

det_status det_observed_create(struct det_env *env, int32_t channels, struct det_observed *observed)
{
    det_status status = DET_OK;
    const size_t count = (size_t)channels;
    *observed = (struct det_observed){.channels = channels};
    DET_TRY(det_alloc(env, &observed->low, count, sizeof *observed->low, "ranges"));
    DET_TRY(det_alloc(env, &observed->high, count, sizeof *observed->high, "ranges"));
    DET_TRY(det_alloc(env, &observed->sum, count, sizeof *observed->sum, "ranges"));
    DET_TRY(det_alloc(env, &observed->bins, DET_OBSERVED_BINS, sizeof *observed->bins, "ranges"));
    det_observed_clear(observed);
fail:
    if (status != DET_OK)
        det_observed_free(env, observed);
    return status;
}

void det_observed_free(struct det_env *env, struct det_observed *observed)
{
    det_free(env, &observed->low);
    det_free(env, &observed->high);
    det_free(env, &observed->sum);
    det_free(env, &observed->bins);
}

void det_observed_clear(struct det_observed *o)
{
    for (int32_t c = 0; c < o->channels; c++) {
        o->low[c] = INFINITY;
        o->high[c] = -INFINITY;
        o->sum[c] = 0;
    }
    memset(o->bins, 0, DET_OBSERVED_BINS * sizeof *o->bins);
    o->pixels = o->images = 0;
    o->sum_low = o->sum_high = o->reach = 0;
    o->has_squares = false;
}

static void see_channels(struct det_observed *o, const float *values, int64_t rows,
                         struct det_real_range *image)
{
    for (int64_t row = 0; row < rows; row++, values += o->channels) {
        for (int32_t c = 0; c < o->channels; c++) {
            const float value = values[c];
            o->low[c] = value < o->low[c] ? value : o->low[c];
            o->high[c] = value > o->high[c] ? value : o->high[c];
            o->sum[c] += (double)value;
            image->low = (double)value < image->low ? (double)value : image->low;
            image->high = (double)value > image->high ? (double)value : image->high;
        }
    }
    o->pixels += rows;
}

/* Twice the reach: two neighbouring parts become one. */
static void widen(struct det_observed *o)
{
    enum { HALF = DET_OBSERVED_BINS / 2 };
    int64_t merged[HALF];
    for (int i = 0; i < HALF; i++)
        merged[i] = o->bins[2 * i] + o->bins[2 * i + 1];
    memset(o->bins, 0, DET_OBSERVED_BINS * sizeof *o->bins);
    memcpy(o->bins + HALF / 2, merged, sizeof merged);
    o->reach *= 2;
}

void det_observed_add(struct det_observed *o, const float *values, int64_t rows)
{
    struct det_real_range image = {0, 0};
    see_channels(o, values, rows, &image);
    o->images++;
    o->has_squares = false;
    o->sum_low += image.low;
    o->sum_high += image.high;
    const double most = fmax(image.high, -image.low);
    if (o->reach == 0)
        o->reach = 1.0 / 1024;
    while (o->reach <= most)
        widen(o);
    const float parts = (float)(HALF_BINS / o->reach);
    for (int64_t i = 0; i < rows * o->channels; i++) {
        const int32_t bin = (int32_t)floorf(values[i] * parts) + DET_OBSERVED_BINS / 2;
        o->bins[bin]++;
    }
}

static double bin_middle(const struct det_observed *o, int bin)
{
    return (bin + .5 - HALF_BINS) * o->reach / HALF_BINS;
}

static struct det_real_range all_seen(const struct det_observed *o)
{
    struct det_real_range all = {0, 0};
    for (int32_t c = 0; c < o->channels; c++) {
        all.low = fmin(all.low, (double)o->low[c]);
        all.high = fmax(all.high, (double)o->high[c]);
    }
    return all;
}

static struct det_real_range most_seen(const struct det_observed *o)
{
    struct det_real_range range = all_seen(o);
    int64_t left = (int64_t)((double)o->pixels * o->channels * LEFT_OUT / 2);
    int low = 0, high = DET_OBSERVED_BINS - 1;
    for (int64_t out = o->bins[low]; out <= left && low < DET_OBSERVED_BINS - 1;)
        out += o->bins[++low];
    for (int64_t out = o->bins[high]; out <= left && high > 0;)
        out += o->bins[--high];
    const double part = o->reach / HALF_BINS;
    range.low = fmax(range.low, fmin(bin_middle(o, low) - part / 2, 0));
    range.high = fmin(range.high, fmax(bin_middle(o, high) + part / 2, 0));
    return range;
}

static double squared_off(const struct det_observed *o, int bin, double end)
{
    const double off = bin_middle(o, bin) - end;
    return (double)o->bins[bin] * off * off;
}

/* Bins that hold something lie between these. */
struct held {
    int first, last;
};

static struct held held_by(const struct det_observed *o)
{
    struct held held = {0, DET_OBSERVED_BINS - 1};
    while (held.first < held.last && o->bins[held.first] == 0)
        held.first++;
    while (held.last > held.first && o->bins[held.last] == 0)
        held.last--;
    return held;
}

/* Of rounding to 256 steps in the range and clamping to it; from `most` on it may be any number
 * above that. */
static double squared_error(const struct det_observed *o, struct held held,
                            struct det_real_range range, double most)
{
    const double step = (range.high - range.low) / 255;
    double error = (double)(o->pixels * o->channels) * (step * step / 12);
    for (int bin = held.first; bin_middle(o, bin) < range.low && error < most; bin++)
        error += squared_off(o, bin, range.low);
    for (int bin = held.last; bin_middle(o, bin) > range.high && error < most; bin--)
        error += squared_off(o, bin, range.high);
    return error;
}

/* Each end on its own, then both once more: the error has one valley along either. */
static struct det_real_range least_squares(const struct det_observed *o)
{
    enum { SHARES = 100 };
    const struct det_real_range all = all_seen(o);
    const struct held held = held_by(o);
    struct det_real_range best = all;
    double least = squared_error(o, held, best, INFINITY);
    for (int round = 0; round < 4; round++) {
        const struct det_real_range at = best;
        for (int i = 1; i < SHARES; i++) {
            const double share = (double)i / SHARES;
            const struct det_real_range tried = {round % 2 == 0 ? at.low : all.low * share,
                                                 round % 2 == 0 ? all.high * share : at.high};
            const double error = squared_error(o, held, tried, least);
            if (error < least) {
                least = error;
                best = tried;
            }
        }
    }
    return best;
}

struct det_real_range det_observed_range(struct det_observed *o, det_quantisation_observer observer)
{
    const double images = o->images > 0 ? (double)o->images : 1;
    switch (observer) {
    case DET_OBSERVER_AVERAGE:
        return (struct det_real_range){o->sum_low / images, o->sum_high / images};
    case DET_OBSERVER_PERCENTILE:
        return most_seen(o);
    case DET_OBSERVER_SQUARES:
        if (!o->has_squares)
            o->squares = least_squares(o);
        o->has_squares = true;
        return o->squares;
    case DET_OBSERVER_AUTO:
    case DET_OBSERVER_TRAINED:
    case DET_OBSERVER_MINMAX:
        break;
    }
    return all_seen(o);
}
