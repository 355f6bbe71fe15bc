/* canvas.c: det/draw.h: a program's own pixels as a surface that draw.c draws into. */
#include "base/arguments.h"
#include "base/context.h"
#include "data/image_view.h"
#include "draw/labels.h"

/* The rules for pixels are those of views. */
static det_status surface_of(struct det_env *env, const det_canvas *canvas,
                             struct det_surface *surface)
{
    const det_image_view view = {.pixels = canvas->pixels,
                                 .width = canvas->width,
                                 .height = canvas->height,
                                 .stride_bytes = canvas->stride_bytes,
                                 .format = canvas->format};
    *surface = (struct det_surface){0};
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
    DET_NEED(det_context_env(context), detection);
    return det_canvas_draw_detections(context, canvas, detection, &label, 1, NULL, 0);
}

det_status det_canvas_draw_detections(det_context *context, const det_canvas *canvas,
                                      const det_detection *detections, const char *const *labels,
                                      size_t count, const det_legend_line *legend,
                                      size_t legend_count)
{
    struct det_env *env = det_context_env(context);
    struct det_labels taken;
    struct det_surface to = {0};
    DET_NEED(env, context);
    DET_NEED(env, canvas);
    DET_NEED_ARRAY(env, detections, count);
    DET_NEED_ARRAY(env, legend, legend_count);
    for (size_t i = 0; i < legend_count; i++)
        if (legend[i].text == NULL)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "legend[%zu].text is NULL", i);
    DET_TRY_RETURN(surface_of(env, canvas, &to));
    taken.count = 0;
    /* The surest one last, so that its frame is on top; its label first, so that it has its
     * place. */
    for (size_t i = count; i-- > 0;)
        det_draw_detection(to, &detections[i]);
    det_draw_legend(&taken, to, legend, legend_count);
    for (size_t i = 0; i < count && labels != NULL; i++)
        det_draw_detection_label(&taken, to, &detections[i], labels[i]);
    return DET_OK;
}

det_status det_canvas_draw_line(det_context *context, const det_canvas *canvas, float x0_px,
                                float y0_px, float x1_px, float y1_px, float thickness_px,
                                det_rgb color)
{
    struct det_env *env = det_context_env(context);
    struct det_surface to = {0};
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
    struct det_surface to = {0};
    DET_NEED(env, context);
    DET_NEED(env, canvas);
    DET_NEED(env, y_px);
    DET_NEED(env, text);
    DET_TRY_RETURN(surface_of(env, canvas, &to));
    *y_px = det_draw_note(to, x_px, *y_px, plate, text);
    return DET_OK;
}
