#include "formats/coco_segmentation.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static bool polygons_box(const cJSON *polygons, double box_px[4])
{
    double least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
    const cJSON *polygon = NULL, *number = NULL;
    cJSON_ArrayForEach(polygon, polygons)
    {
        int axis = 0;
        if (!cJSON_IsArray(polygon) || cJSON_GetArraySize(polygon) % 2 != 0)
            return false;
        cJSON_ArrayForEach(number, polygon)
        {
            if (!cJSON_IsNumber(number) || !isfinite(number->valuedouble))
                return false;
            least[axis] = fmin(least[axis], number->valuedouble);
            most[axis] = fmax(most[axis], number->valuedouble);
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

static bool mask_box(const cJSON *rle, double box_px[4])
{
    const cJSON *size = cJSON_GetObjectItemCaseSensitive(rle, "size");
    const cJSON *counts = cJSON_GetObjectItemCaseSensitive(rle, "counts"), *run = NULL;
    const cJSON *height = cJSON_GetArrayItem(size, 0), *width = cJSON_GetArrayItem(size, 1);
    if (!cJSON_IsNumber(height) || !cJSON_IsNumber(width) || height->valuedouble < 1 ||
        height->valuedouble > 65500 || width->valuedouble < 1 || width->valuedouble > 65500)
        return false;
    struct mask mask = {.height = (int64_t)height->valuedouble,
                        .pixels = (int64_t)height->valuedouble * (int64_t)width->valuedouble,
                        .least = {INT64_MAX, INT64_MAX},
                        .most = {-1, -1}};
    if (cJSON_IsString(counts)) {
        if (!add_text(&mask, counts->valuestring))
            return false;
    } else {
        cJSON_ArrayForEach(run, counts)
        {
            if (!cJSON_IsNumber(run) || !add_run(&mask, run->valuedouble))
                return false;
        }
    }
    for (int axis = 0; axis < 2; axis++) {
        box_px[axis] = (double)mask.least[axis];
        box_px[2 + axis] = (double)(mask.most[axis] + 1 - mask.least[axis]);
    }
    return mask.most[0] >= 0;
}

bool det_coco_segmentation_box(const cJSON *segmentation, double box_px[4])
{
    return cJSON_IsArray(segmentation)    ? polygons_box(segmentation, box_px)
           : cJSON_IsObject(segmentation) ? mask_box(segmentation, box_px)
                                          : false;
}
