#include "formats/coco_segmentation.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "support/mem.h"

static bool polygons_box(struct det_json polygons, double box_px[4])
{
    double least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY}, value = 0;
    struct det_json_entry polygon, number;
    for (bool more = det_json_first(polygons, &polygon); more; more = det_json_next(&polygon)) {
        int axis = 0;
        if (det_json_kind(polygon.value) != DET_JSON_LIST || det_json_count(polygon.value) % 2 != 0)
            return false;
        for (bool on = det_json_first(polygon.value, &number); on; on = det_json_next(&number)) {
            if (!det_json_number(number.value, &value) || !isfinite(value))
                return false;
            least[axis] = fmin(least[axis], value);
            most[axis] = fmax(most[axis], value);
            axis = 1 - axis;
        }
    }
    for (int axis = 0; axis < 2; axis++) {
        box_px[axis] = least[axis];
        box_px[2 + axis] = most[axis] - least[axis];
    }
    return isfinite(box_px[0]);
}

/* Pixels column by column, runs of zeros and ones in turn. */
struct mask {
    int64_t height, pixels; /* of the image */
    int64_t at;             /* pixels that the runs so far cover */
    bool ones;              /* the next run is of ones */
    int64_t least[2], most[2];
};

static bool add_run(struct mask *mask, double length)
{
    if (!(length >= 0 && length <= (double)(mask->pixels - mask->at)))
        return false;
    const int64_t first = mask->at, last = first + (int64_t)length - 1;
    mask->at = last + 1;
    if (mask->ones && last >= first) {
        const int64_t x[2] = {first / mask->height, last / mask->height};
        const bool columns = x[0] != x[1]; /* then it reaches the lowest row and the top one */
        const int64_t y[2] = {columns ? 0 : first % mask->height,
                              columns ? mask->height - 1 : last % mask->height};
        mask->least[0] = x[0] < mask->least[0] ? x[0] : mask->least[0];
        mask->least[1] = y[0] < mask->least[1] ? y[0] : mask->least[1];
        mask->most[0] = x[1] > mask->most[0] ? x[1] : mask->most[0];
        mask->most[1] = y[1] > mask->most[1] ? y[1] : mask->most[1];
    }
    mask->ones = !mask->ones;
    return true;
}

/* Groups of 5 bits, least first, in characters from '0' on; 32 says that more follow, 16 of the
 * last is the sign. From the third on a run is given as the difference to the last but one. */
static bool add_text(struct mask *mask, const char *text)
{
    int64_t before[2] = {0, 0};
    for (size_t run = 0; *text != '\0'; run++) {
        int64_t value = 0;
        int shift = 0, group = 0;
        do {
            group = *text - '0';
            if (group < 0 || group > 63 || shift > 40)
                return false;
            value |= (int64_t)(group & 31) << shift;
            shift += 5;
            text++;
        } while ((group & 32) != 0 && *text != '\0');
        if ((group & 16) != 0)
            value -= (int64_t)1 << shift;
        if (run > 2)
            value += before[run % 2];
        before[run % 2] = value;
        if (!add_run(mask, (double)value))
            return false;
    }
    return true;
}

static bool add_list(struct mask *mask, struct det_json counts)
{
    struct det_json_entry run;
    double length = 0;
    for (bool more = det_json_first(counts, &run); more; more = det_json_next(&run))
        if (!det_json_number(run.value, &length) || !add_run(mask, length))
            return false;
    return true;
}

/* [height, width] */
static bool read_size(struct det_json size, double sides[2])
{
    struct det_json_entry side;
    bool more = det_json_first(size, &side);
    for (int i = 0; i < 2; i++, more = more && det_json_next(&side))
        if (!more || !det_json_number(side.value, &sides[i]) || sides[i] < 1 || sides[i] > 65500)
            return false;
    return true;
}

static det_status mask_box(struct det_env *env, struct det_json rle, double box_px[4], bool *found)
{
    const struct det_json counts = det_json_get(rle, "counts");
    double sides[2];
    char *text = NULL;
    if (!read_size(det_json_get(rle, "size"), sides))
        return DET_OK;
    struct mask mask = {.height = (int64_t)sides[0],
                        .pixels = (int64_t)sides[0] * (int64_t)sides[1],
                        .least = {INT64_MAX, INT64_MAX},
                        .most = {-1, -1}};
    DET_TRY_RETURN(det_json_string(env, counts, &text));
    const bool is_sound = text != NULL ? add_text(&mask, text) : add_list(&mask, counts);
    det_free(env, &text);
    for (int axis = 0; axis < 2; axis++) {
        box_px[axis] = (double)mask.least[axis];
        box_px[2 + axis] = (double)(mask.most[axis] + 1 - mask.least[axis]);
    }
    *found = is_sound && mask.most[0] >= 0;
    return DET_OK;
}

det_status det_coco_segmentation_box(struct det_env *env, struct det_json segmentation,
                                     double box_px[4], bool *found)
{
    *found = false;
    if (det_json_kind(segmentation) == DET_JSON_OBJECT)
        return mask_box(env, segmentation, box_px, found);
    *found = det_json_kind(segmentation) == DET_JSON_LIST && polygons_box(segmentation, box_px);
    return DET_OK;
}
