/* det/draw.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_DRAW_H
#define DET_DRAW_H
#include "det/context.h"
#include "det/detector.h"
#include "det/image.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_rgb {
    uint8_t r, g, b;
} det_rgb;
DET_API det_rgb det_class_color(int32_t class_id);
DET_NODISCARD DET_API det_status det_canvas_draw_detection(det_context *context,
                                                           const det_canvas *canvas,
                                                           const det_detection *detection,
                                                           const char *label);
DET_NODISCARD DET_API det_status det_canvas_draw_line(det_context *context,
                                                      const det_canvas *canvas, float x0_px,
                                                      float y0_px, float x1_px, float y1_px,
                                                      float thickness_px, det_rgb color);
DET_NODISCARD DET_API det_status det_canvas_draw_note(det_context *context,
                                                      const det_canvas *canvas, float x_px,
                                                      float *y_px, det_rgb plate, const char *text);
#ifdef __cplusplus
}
#endif
#endif
