#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert/tile.h"
#include "review/report.h"
#include "support/mem.h"

/* --- nearly the same --- */

enum { THUMB = 16, MOST_BITS = 4, MOST_PAIRS = 100000 };
/* Grey levels: recompressed, resized or a pixel moved; another frame of a scene is further away. */
#define NEARLY 2.5

struct thumb {
    uint64_t bits; /* whether brightness rises to the right, of 8 x 8 places */
    uint8_t grey[THUMB * THUMB];
    uint32_t image;
};

static det_status make_thumb(struct det_env *env, const struct det_annotations *set, size_t image,
                             struct det_image *pixels, struct thumb *thumb)
{
    double grey[THUMB * THUMB];
    DET_TRY_RETURN(det_labelled_image_load(env, set, &set->images[image], pixels));
    for (int y = 0; y < THUMB; y++)
        for (int x = 0; x < THUMB; x++) {
            const int32_t y0 = (int32_t)((int64_t)y * pixels->height / THUMB);
            const int32_t x0 = (int32_t)((int64_t)x * pixels->width / THUMB);
            const int32_t y1 = (int32_t)((int64_t)(y + 1) * pixels->height / THUMB);
            const int32_t x1 = (int32_t)((int64_t)(x + 1) * pixels->width / THUMB);
            double sum = 0, count = 0;
            for (int32_t v = y0; v < y1 || v == y0; v++)
                for (int32_t u = x0; u < x1 || u == x0; u++, count++) {
                    const uint8_t *rgb =
                        pixels->rgb + ((size_t)v * (size_t)pixels->width + (size_t)u) * 3;
                    sum += .299 * rgb[0] + .587 * rgb[1] + .114 * rgb[2];
                }
            grey[y * THUMB + x] = sum / count;
            thumb->grey[y * THUMB + x] = (uint8_t)(sum / count + .5);
        }
    thumb->image = (uint32_t)image;
    thumb->bits = 0;
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 8; x++) {
            const double *at = &grey[2 * y * THUMB + 2 * x];
            const double *right = &grey[2 * y * THUMB + (2 * x + 2) % THUMB];
            thumb->bits = thumb->bits << 1 | (right[0] + right[THUMB] > at[0] + at[THUMB] + 1);
        }
    return DET_OK;
}

static double difference(const struct thumb *a, const struct thumb *b)
{
    int sum = 0;
    for (int i = 0; i < THUMB * THUMB; i++)
        sum += abs(a->grey[i] - b->grey[i]);
    return (double)sum / (THUMB * THUMB);
}

static int by_difference(const void *a, const void *b)
{
    const struct det_report_pair *x = a, *y = b;
    if (x->difference != y->difference)
        return (x->difference > y->difference) - (x->difference < y->difference);
    return x->a != y->a ? (x->a > y->a) - (x->a < y->a) : (x->b > y->b) - (x->b < y->b);
}

static det_status compare(struct det_env *env, const struct det_annotations *set,
                          const struct thumb *thumbs, size_t count, struct det_report_pairs *pairs)
{
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count && pairs->count < MOST_PAIRS; k++) {
            const struct thumb *a = &thumbs[i], *b = &thumbs[k];
            if (set->images[a->image].split == set->images[b->image].split ||
                __builtin_popcountll(a->bits ^ b->bits) > MOST_BITS)
                continue;
            const double away = difference(a, b);
            if (away > NEARLY)
                continue;
            DET_TRY_RETURN(det_grow(env, &pairs->pairs, &pairs->capacity, pairs->count + 1,
                                    sizeof *pairs->pairs, "pairs"));
            pairs->pairs[pairs->count++] = (struct det_report_pair){a->image, b->image, away};
        }
    if (pairs->count > 1)
        qsort(pairs->pairs, pairs->count, sizeof *pairs->pairs, by_difference);
    return DET_OK;
}

det_status det_report_find_pairs(struct det_env *env, const struct det_annotations *set,
                                 struct det_report_pairs *pairs)
{
    struct thumb *thumbs = NULL;
    struct det_image pixels = {0};
    size_t count = 0;
    det_status status = DET_OK;
    if (set->splits.count < 2)
        return DET_OK;
    DET_TRY(det_alloc(env, &thumbs, set->image_count, sizeof *thumbs, "small pictures"));
    for (size_t i = 0; i < set->image_count; i++)
        if (!set->images[i].broken)
            DET_TRY(make_thumb(env, set, i, &pixels, &thumbs[count++]));
    DET_TRY(compare(env, set, thumbs, count, pairs));
fail:
    det_free(env, &thumbs);
    det_image_free(env, &pixels);
    return status;
}

/* --- pictures --- */

enum { SIDE_PX = 420, MOST_BOXES = 500 };

void det_report_painter_free(struct det_env *env, struct det_report_painter *painter)
{
    det_image_free(env, &painter->image);
    det_image_free(env, &painter->small);
    det_free(env, &painter->boxes);
}

static const char *class_called(const struct det_annotations *set, int32_t class_index)
{
    return class_index >= 0 ? set->classes.paths[class_index] : "no class";
}

det_status det_report_put_picture(struct det_xml_writer *xml, struct det_report_painter *painter,
                                  const struct det_annotations *set, size_t image, int64_t marked,
                                  const char *note)
{
    static const char *const styles[] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"};
    struct det_env *env = xml->env;
    const struct det_labelled_image *at = &set->images[image];
    const char *name = at->name != NULL ? at->name : at->where;
    struct det_boxed boxed = {.image = &painter->image, .side_px = SIDE_PX, .alt = name};
    DET_TRY_RETURN(det_labelled_image_load(env, set, at, &painter->image));
    for (size_t i = 0; i < at->object_count && i < MOST_BOXES; i++) {
        const struct det_labelled_object *o = &set->objects[at->first_object + i];
        if (marked >= 0 && (int64_t)i != marked)
            continue;
        DET_TRY_RETURN(det_grow(env, &painter->boxes, &painter->capacity, boxed.count + 1,
                                sizeof *painter->boxes, "boxes of a picture"));
        struct det_page_box *to = &painter->boxes[boxed.count++];
        *to = (struct det_page_box){.style = styles[o->class_index < 0 ? 7 : o->class_index % 8],
                                    .name = class_called(set, o->class_index)};
        memcpy(to->box, o->box, sizeof to->box);
    }
    boxed.boxes = painter->boxes;
    det_xml_open(xml, "figure");
    DET_TRY_RETURN(det_boxed_picture(xml, &painter->small, &boxed));
    det_xml_open(xml, "figcaption");
    det_xml_text_shown(xml, name);
    det_xml_open(xml, "br");
    det_xml_close_empty(xml);
    det_xml_open(xml, "small");
    det_xml_text(xml, set->splits.paths[at->split]);
    if (marked >= 0) {
        det_xml_text(xml, ", ");
        det_xml_text_shown(
            xml, class_called(set, set->objects[at->first_object + (size_t)marked].class_index));
    } else {
        det_xml_text_printf(xml, ", %zu boxes", at->object_count);
    }
    if (note != NULL)
        det_xml_text_printf(xml, ", %s", note);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
    return xml->status;
}
