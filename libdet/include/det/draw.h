/* det/draw.h: boxes, lines and notes drawn into a program's own pixels, with smooth edges: what
 * det_picture_draw() does for pictures, piece by piece, for frames of a camera or a window.
 *
 * Everything is clipped to the canvas; boxes, lines and places that are not finite or turned inside
 * out are left out, so that any detector's output can be passed. Places are in pixels: one is the
 * square from (x, y) to (x + 1, y + 1) and is blended by the area that is covered.
 *
 * Thread safety: as the context, which is for messages alone. Nothing is allocated.
 */
#ifndef DET_DRAW_H
#define DET_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"
#include "det/image.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_rgb {
    uint8_t r, g, b;
} det_rgb;

/** What boxes of class `class_id` (1, 2, ...) are drawn in: 24 fixed colours, well apart for
 * neighbouring classes, then made ones. Any number is allowed. */
DET_API det_rgb det_class_color(int32_t class_id);

/** A box in its class's colour, with `label` on a plate above it, or inside when there is no room
 * above; NULL or "": no plate. Texts are UTF-8. INVALID_ARGUMENT, as from the other functions that
 * draw: the canvas has no pixels, sides beyond 1 to 65500, a stride that does not fit, or a format
 * other than RGB, BGR, RGBA, BGRA (alpha stays as it is) and grey. */
DET_NODISCARD DET_API det_status det_canvas_draw_detection(det_context *context,
                                                           const det_canvas *canvas,
                                                           const det_detection *detection,
                                                           const char *label);

/** A straight stroke with round ends; thickness_px 0: as boxes on a canvas of this size have it. */
DET_NODISCARD DET_API det_status det_canvas_draw_line(det_context *context,
                                                      const det_canvas *canvas, float x0_px,
                                                      float y0_px, float x1_px, float y1_px,
                                                      float thickness_px, det_rgb color);

/** A line of text on a plate whose top left corner is (x_px, *y_px), in black or white, whichever
 * reads better. *y_px becomes where the next one begins. */
DET_NODISCARD DET_API det_status det_canvas_draw_note(det_context *context,
                                                      const det_canvas *canvas, float x_px,
                                                      float *y_px, det_rgb plate, const char *text);

#ifdef __cplusplus
}
#endif
#endif
