/* coco_sort.c: the stable sort by falling score. Radix, 8 bits a pass, passes in which all agree
 * left out: scores that were floats or have few digits need fewer. */
#include <string.h>

#include "eval/coco_parts.h"

uint64_t det_coco_sort_key(double score)
{
    const double value = score + 0.0; /* -0 equals 0 */
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    /* Rising: flip the sign of positive numbers and everything of negative ones; falling: the
     * complement. */
    return ~(bits >> 63 ? ~bits : bits | 0x8000000000000000u);
}

static void sort_by_insertion(struct det_coco_sort_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const struct det_coco_sort_item item = items[i];
        size_t to = i;
        for (; to > 0 && items[to - 1].key > item.key; to--)
            items[to] = items[to - 1];
        items[to] = item;
    }
}

void det_coco_sort(struct det_coco_sort_item *items, struct det_coco_sort_item *scratch,
                   size_t count)
{
    enum { FEW = 24 };
    if (count <= FEW) {
        sort_by_insertion(items, count);
        return;
    }
    size_t histogram[8][256] = {{0}};
    for (size_t i = 0; i < count; i++) {
        for (int digit = 0; digit < 8; digit++)
            histogram[digit][items[i].key >> (8 * digit) & 255]++;
    }
    struct det_coco_sort_item *from = items, *to = scratch;
    for (int digit = 0; digit < 8; digit++) {
        size_t *next = histogram[digit];
        if (next[from[0].key >> (8 * digit) & 255] == count)
            continue;
        size_t begin = 0;
        for (int value = 0; value < 256; value++) {
            const size_t here = next[value];
            next[value] = begin;
            begin += here;
        }
        for (size_t i = 0; i < count; i++)
            to[next[from[i].key >> (8 * digit) & 255]++] = from[i];
        struct det_coco_sort_item *swap = from;
        from = to;
        to = swap;
    }
    if (from != items)
        memcpy(items, from, count * sizeof *items);
}
