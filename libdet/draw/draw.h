/* draw.h: results drawn into an image: anti-aliased boxes with label plates. Everything is clipped
 * to the image and boxes that are not finite or turned inside out are left out, so that any
 * detector's output can be passed.
 *
 * Sub-pixel positions: a pixel is the square [x, x + 1) x [y, y + 1) and is blended by the area
 * that is covered. */
#ifndef DET_DRAW_DRAW_H
#define DET_DRAW_DRAW_H

#include "data/image.h"
#include "det/draw.h"

/* What is drawn into. */
struct det_surface {
    uint8_t *first; /* of the top row; NULL: nothing is drawn */
    ptrdiff_t stride;
    int32_t width, height;
    int32_t bytes;            /* of a pixel */
    int32_t red, green, blue; /* where in it; all 0: a grey one */
};

static inline struct det_surface det_surface_of(const struct det_image *image)
{
    return (struct det_surface){.first = image->rgb,
                                .stride = (ptrdiff_t)image->width * 3,
                                .width = image->width,
                                .height = image->height,
                                .bytes = 3,
                                .green = 1,
                                .blue = 2};
}

/* 24 fixed colours, well apart for neighbouring classes, then generated ones; any class_index is
 * allowed. */
det_rgb det_palette_colour(int32_t class_index);

/* Black or white, whichever reads better on `plate`. */
det_rgb det_text_colour_on(det_rgb plate);

/* Frame of `thickness_px` whose middle line is the box's edge. */
void det_draw_rectangle(struct det_surface to, const float box_px[4], float thickness_px,
                        det_rgb colour);
void det_fill_rectangle(struct det_surface to, const float box_px[4], float opacity,
                        det_rgb colour);

/* One line of UTF-8; (x_px, y_px) is the top left corner of the line, size_px its height. */
void det_draw_text(struct det_surface to, float x_px, float y_px, float size_px, det_rgb colour,
                   const char *text);
float det_text_width_px(const char *text, float size_px);

/* What a box of this image size is drawn with. */
float det_draw_thickness_px(struct det_surface to);
float det_draw_text_size_px(struct det_surface to);

/* Box (normalised ymin, xmin, ymax, xmax) in the class's colour, with `text` on a plate above it,
 * or inside when there is no room above; the plate is kept inside the image. No plate when text is
 * NULL or empty. */
void det_draw_box(struct det_surface to, const float box_norm[4], int32_t class_index,
                  const char *text);

/* A straight stroke with round ends. */
void det_draw_line(struct det_surface to, float x0_px, float y0_px, float x1_px, float y1_px,
                   float thickness_px, det_rgb colour);

/* A line of text on a plate in the image's corner or below another: its top left corner is (x_px,
 * y_px). Returns where the next one begins. */
float det_draw_note(struct det_surface to, float x_px, float y_px, det_rgb plate, const char *text);

#endif
