#include "draw/labels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- what is taken --- */

static bool overlap(const float a[4], const float b[4])
{
    return a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
}

static bool is_free(const struct det_labels *labels, const float area[4])
{
    for (int32_t i = 0; i < labels->count; i++)
        if (overlap(labels->areas_px[i], area))
            return false;
    return true;
}

static void take(struct det_labels *labels, const float area[4])
{
    if (labels->count < DET_MOST_LABELS)
        memcpy(labels->areas_px[labels->count++], area, sizeof labels->areas_px[0]);
}

/* --- places --- */

/* Along one axis: before the box, at its beginning inside, at its end inside, behind it. */
enum side { BEFORE, FIRST, LAST, BEHIND };

struct place {
    enum side y, x;
};

static const struct place places[] = {
    {BEFORE, FIRST}, {BEFORE, LAST}, {FIRST, FIRST}, {BEHIND, FIRST}, {LAST, FIRST},
    {BEHIND, LAST},  {FIRST, LAST},  {LAST, LAST},   {FIRST, BEHIND}, {FIRST, BEFORE},
};

/* Where a plate of that length begins; *fits: inside [0, limit]. One that stands inside the box's
 * extent is moved into the picture, as far as it goes; one beside the box is not. */
static float begin_at(enum side side, float low, float high, float half_px, float length,
                      float limit, bool *fits)
{
    float at = 0;
    switch (side) {
    case BEFORE:
        at = low - half_px - length;
        break;
    case FIRST:
        at = low - half_px;
        break;
    case LAST:
        at = high + half_px - length;
        break;
    case BEHIND:
        at = high + half_px;
        break;
    }
    if (side == FIRST || side == LAST)
        at = fmaxf(0, fminf(at, limit - length));
    at = roundf(at);
    *fits = *fits && at >= 0 && at + length <= limit;
    return at;
}

/* Plates above and below stand on the frame's outer edge, those inside begin behind the frame. */
static bool find_place(const struct det_labels *labels, const struct det_surface *to,
                       const float box_px[4], float thickness, float height, float width,
                       float area[4])
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const bool inside = places[i].y == FIRST || places[i].y == LAST;
        const float half = thickness / 2;
        bool fits = true;
        area[0] = begin_at(places[i].y, box_px[0], box_px[2], inside ? -half : half, height,
                           (float)to->height, &fits);
        area[1] = begin_at(places[i].x, box_px[1], box_px[3], half, width, (float)to->width, &fits);
        area[2] = area[0] + height;
        area[3] = area[1] + width;
        if (fits && is_free(labels, area))
            return true;
    }
    return false;
}

/* --- texts --- */

enum { SHORT_BYTES = 32, SHORT_LETTERS = 3, LONG_WORD = 6 };

/* What is left of a label where there is no room for all of it; "": nothing. */
static void shorten(const char *text, char shorter[SHORT_BYTES])
{
    const char *blank = strrchr(text, ' '), *word = blank != NULL ? blank + 1 : text;
    size_t length = strlen(word), letters = 0;
    shorter[0] = '\0';
    if (blank == NULL) {
        if (length < LONG_WORD)
            return;
        for (length = 0; word[length] != '\0' && length < SHORT_BYTES; length++) {
            letters += ((unsigned char)word[length] & 0xC0) != 0x80;
            if (letters > SHORT_LETTERS)
                break;
        }
    }
    if (length + 2 <= SHORT_BYTES)
        snprintf(shorter, SHORT_BYTES, "%.*s%s", (int)length, word, blank == NULL ? "." : "");
}

/* --- drawing --- */

static bool put(struct det_labels *labels, const struct det_surface *to, const float box_px[4],
                det_rgb plate, const char *text)
{
    const float size = det_draw_text_size_px(*to), pad = roundf(0.2F * size);
    const float width = det_text_width_px(text, size) + 2 * pad;
    const float height = size + roundf(0.1F * size);
    float area[4];
    if (!find_place(labels, to, box_px, det_draw_thickness_px(*to), height, width, area))
        return false;
    take(labels, area);
    det_fill_rectangle(*to, area, 0.88F, plate);
    det_draw_text(*to, area[1] + pad, area[0], size, det_text_colour_on(plate), text);
    return true;
}

bool det_draw_label(struct det_labels *labels, struct det_surface to, const float box_norm[4],
                    int32_t class_index, const char *text)
{
    float box_px[4];
    char shorter[SHORT_BYTES];
    if (text == NULL || text[0] == '\0' || labels->count == DET_MOST_LABELS ||
        !det_draw_box_px(to, box_norm, box_px) || box_px[0] > (float)to.height ||
        box_px[1] > (float)to.width || box_px[2] < 0 || box_px[3] < 0)
        return false;
    const det_rgb plate = det_palette_colour(class_index);
    if (put(labels, &to, box_px, plate, text))
        return true;
    shorten(text, shorter);
    return shorter[0] != '\0' && put(labels, &to, box_px, plate, shorter);
}

static int32_t index_of(const det_detection *detection)
{
    return (int32_t)((uint32_t)detection->class_id - 1);
}

void det_draw_detection(struct det_surface to, const det_detection *d)
{
    const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
    det_draw_box(to, box, index_of(d));
}

bool det_draw_detection_label(struct det_labels *labels, struct det_surface to,
                              const det_detection *d, const char *text)
{
    const float box[4] = {d->ymin, d->xmin, d->ymax, d->xmax};
    return det_draw_label(labels, to, box, index_of(d), text);
}

void det_draw_ground_truth(struct det_surface to, const float (*boxes_norm)[4],
                           const int32_t *class_index, size_t count, const char *const *class_names)
{
    struct det_labels taken;
    taken.count = 0;
    for (size_t i = 0; i < count; i++)
        det_draw_box(to, boxes_norm[i], class_index[i]);
    for (size_t i = 0; i < count; i++)
        det_draw_label(&taken, to, boxes_norm[i], class_index[i], class_names[class_index[i]]);
}

void det_draw_legend(struct det_labels *labels, struct det_surface to, const det_legend_line *lines,
                     size_t count)
{
    float x = 0, y = 0, column = 0, area[4];
    for (size_t i = 0; i < count && x < (float)to.width; i++) {
        det_note_area(to, x, y, lines[i].text, area);
        if (y > 0 && area[2] > (float)to.height) {
            x += column;
            y = column = 0;
            det_note_area(to, x, y, lines[i].text, area);
        }
        y = det_draw_note(to, x, y, lines[i].color, lines[i].text);
        column = fmaxf(column, area[3] - area[1]);
        take(labels, area);
    }
}
