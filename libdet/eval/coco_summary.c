/* coco_summary.c: the 12 means of cocoeval.py's summarize, over all classes or one. */
#include <string.h>

#include "eval/coco_parts.h"

/* As numpy adds up an array: blocks of at most 128 in eight interleaved sums, halves of longer ones
 * added. The means then agree to the last bit. */
static double pairwise_sum(const double *values, size_t count)
{
    if (count < 8) {
        double sum = 0;
        for (size_t i = 0; i < count; i++)
            sum += values[i];
        return sum;
    }
    if (count > 128) {
        const size_t half = count / 2 - count / 2 % 8;
        return pairwise_sum(values, half) + pairwise_sum(values + half, count - half);
    }
    double part[8];
    memcpy(part, values, sizeof part);
    size_t i = 8;
    for (; i < count - count % 8; i += 8) {
        for (size_t j = 0; j < 8; j++)
            part[j] += values[i + j];
    }
    double sum =
        ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
    for (; i < count; i++)
        sum += values[i];
    return sum;
}

int32_t det_coco_stat_max_dets(const struct det_coco_rules *rules, det_coco_stat stat)
{
    const int32_t count = rules->max_det_count;
    int32_t index = 2;
    if (stat == DET_COCO_AR_1)
        index = 0;
    else if (stat == DET_COCO_AR_10)
        index = 1;
    else if (stat == DET_COCO_AP && !rules->first_row_follows_max_dets)
        return 100;
    return rules->max_dets[index < count ? index : count - 1];
}

const char *det_coco_stat_area(det_coco_stat stat)
{
    switch (stat) {
    case DET_COCO_AP_SMALL:
    case DET_COCO_AR_SMALL:
        return "small";
    case DET_COCO_AP_MEDIUM:
    case DET_COCO_AR_MEDIUM:
        return "medium";
    case DET_COCO_AP_LARGE:
    case DET_COCO_AR_LARGE:
        return "large";
    default:
        return "all";
    }
}

double det_coco_stat_mean(const struct det_coco_eval *eval, int32_t class_count, int32_t only_class,
                          det_coco_stat stat, double *values)
{
    const struct det_coco_rules *rules = &eval->rules;
    int32_t a = 0, m = 0;
    while (a < rules->area_count && strcmp(rules->areas[a].name, det_coco_stat_area(stat)) != 0)
        a++;
    const int32_t max_dets = det_coco_stat_max_dets(rules, stat);
    while (m < rules->max_det_count && rules->max_dets[m] != max_dets)
        m++;
    if (a == rules->area_count || m == rules->max_det_count)
        return -1;
    const bool is_recall = stat >= DET_COCO_AR_1;
    const double *from = is_recall ? eval->recall : eval->precision;
    const int32_t lines = is_recall ? 1 : rules->recall_count;
    const int32_t k_begin = only_class < 0 ? 0 : only_class;
    const int32_t k_end = only_class < 0 ? class_count : only_class + 1;
    const size_t inner = (size_t)rules->area_count * (size_t)rules->max_det_count;
    const size_t within = (size_t)a * (size_t)rules->max_det_count + (size_t)m;
    size_t count = 0;
    for (int32_t t = 0; t < rules->iou_count; t++) {
        const double threshold = rules->iou_thresholds[t];
        if ((stat == DET_COCO_AP50 && threshold != .5) ||
            (stat == DET_COCO_AP75 && threshold != .75))
            continue;
        for (int32_t r = 0; r < lines; r++) {
            const size_t row = ((size_t)t * (size_t)lines + (size_t)r) * (size_t)class_count;
            for (int32_t k = k_begin; k < k_end; k++) {
                const double value = from[(row + (size_t)k) * inner + within];
                if (value > -1)
                    values[count++] = value;
            }
        }
    }
    return count == 0 ? -1 : pairwise_sum(values, count) / (double)count;
}
