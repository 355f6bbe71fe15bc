/* canvas.c: det/draw.h: a program's own pixels as a surface that draw.c draws into. */
#include "base/arguments.h"
#include "base/context.h"
#include "data/image_view.h"
#include "draw/draw.h"

/* The rules for pixels are those of views. */
static det_status surface_of(struct det_env *env, const det_canvas *canvas,
                             struct det_surface *surface)
{
    const det_image_view view = {.pixels = canvas->pixels,
                                 .width = canvas->width,
                                 .height = canvas->height,
                                 .stride_bytes = canvas->stride_bytes,
                                 .format = canvas->format};
    if (canvas->format == DET_PIXEL_NV12 || canvas->format == DET_PIXEL_I420 ||
        canvas->format == DET_PIXEL_YUYV)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "canvas: its format is %d, expected RGB, BGR, RGBA, BGRA or grey",
                        (int)canvas->format);
    DET_TRY_RETURN(det_image_view_check(env, &view));
    const struct det_pixels pixels = det_pixels_of_view(&view);
    *surface = (struct det_surface){.first = canvas->pixels,
                                    .stride = pixels.stride,
                                    .width = pixels.width,
                                    .height = pixels.height,
                                    .bytes = pixels.bytes,
                                    .red = pixels.red,
                                    .green = pixels.green,
                                    .blue = pixels.blue};
    return DET_OK;
}

det_rgb det_class_color(int32_t class_id)
{
    return det_palette_colour((int32_t)((uint32_t)class_id - 1));
}

det_status det_canvas_draw_detection(det_context *context, const det_canvas *canvas,
                                     const det_detection *detection, const char *label)
{
    struct det_env *env = det_context_env(context);
    struct det_surface to;
    DET_NEED(env, context);
    DET_NEED(env, canvas);
    DET_NEED(env, detection);
    DET_TRY_RETURN(surface_of(env, canvas, &to));
    const float box[4] = {detection->ymin, detection->xmin, detection->ymax, detection->xmax};
    det_draw_box(to, box, (int32_t)((uint32_t)detection->class_id - 1), label);
    return DET_OK;
}

det_status det_canvas_draw_line(det_context *context, const det_canvas *canvas, float x0_px,
                                float y0_px, float x1_px, float y1_px, float thickness_px,
                                det_rgb color)
{
    struct det_env *env = det_context_env(context);
    struct det_surface to;
    DET_NEED(env, context);
    DET_NEED(env, canvas);
    DET_TRY_RETURN(surface_of(env, canvas, &to));
    det_draw_line(to, x0_px, y0_px, x1_px, y1_px,
                  thickness_px == 0 ? det_draw_thickness_px(to) : thickness_px, color);
    return DET_OK;
}

det_status det_canvas_draw_note(det_context *context, const det_canvas *canvas, float x_px,
                                float *y_px, det_rgb plate, const char *text)
{
    struct det_env *env = det_context_env(context);
    struct det_surface to;
    DET_NEED(env, context);
    DET_NEED(env, canvas);
    DET_NEED(env, y_px);
    DET_NEED(env, text);
    DET_TRY_RETURN(surface_of(env, canvas, &to));
    *y_px = det_draw_note(to, x_px, *y_px, plate, text);
    return DET_OK;
}
