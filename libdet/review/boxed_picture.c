#include "review/boxed_picture.h"

#include <math.h>

#include "support/mem.h"

const char det_boxed_style[] =
    ".looks{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,270px),1fr));"
    "gap:14px;align-items:start}.looks figure{padding:8px 8px 6px}"
    ".look{position:relative;overflow:hidden;border-radius:6px}"
    ".look img{display:block;width:100%;height:auto}"
    ".look svg{position:absolute;left:0;top:0;width:100%;height:100%}"
    ".look rect{fill:transparent;stroke-width:2.5;vector-effect:non-scaling-stroke}"
    "rect.given{stroke:#ff9500}rect.found{stroke:#00b3ff;stroke-dasharray:8 5}"
    "rect.other{stroke:#fff;stroke-opacity:.75;stroke-width:1.2}"
    ".legend i.given{border-color:#ff9500}.legend i.found{border-color:#00b3ff;"
    "border-top-style:dashed}.legend i.other{border-color:#bbb}"
    "figcaption{font-size:13px;padding:6px 2px 2px}figcaption small{color:var(--soft)}"
    "figcaption b{font-weight:600}\n";

/* Each pixel the mean of those it covers. */
det_status det_shrink(struct det_env *env, const struct det_image *image,
                      const struct det_window *window, int32_t side_px, struct det_image *small)
{
    const double scale = fmin(1, (double)side_px / fmax(window->width, window->height));
    const int32_t width = (int32_t)fmax(1, round(window->width * scale));
    const int32_t height = (int32_t)fmax(1, round(window->height * scale));
    DET_TRY_RETURN(det_image_resize_buffer(env, small, width, height));
    for (int32_t y = 0; y < height; y++) {
        const int32_t y0 = window->y + (int32_t)((int64_t)y * window->height / height);
        const int32_t y1 = window->y + (int32_t)((int64_t)(y + 1) * window->height / height);
        for (int32_t x = 0; x < width; x++) {
            const int32_t x0 = window->x + (int32_t)((int64_t)x * window->width / width);
            const int32_t x1 = window->x + (int32_t)((int64_t)(x + 1) * window->width / width);
            uint64_t sums[3] = {0};
            for (int32_t sy = y0; sy < y1; sy++)
                for (int32_t sx = x0; sx < x1; sx++)
                    for (int c = 0; c < 3; c++)
                        sums[c] += image->rgb[((size_t)sy * (size_t)image->width + (size_t)sx) * 3 +
                                              (size_t)c];
            const uint64_t count = (uint64_t)(y1 - y0) * (uint64_t)(x1 - x0);
            for (int c = 0; c < 3; c++)
                small->rgb[((size_t)y * (size_t)width + (size_t)x) * 3 + (size_t)c] =
                    (uint8_t)((sums[c] + count / 2) / count);
        }
    }
    return DET_OK;
}

static struct det_window window_of(const struct det_boxed *boxed)
{
    const struct det_image *image = boxed->image;
    const double *r = boxed->region;
    if (!(r[2] > r[0] && r[3] > r[1]))
        return det_window_whole(image->height, image->width);
    const int32_t y = (int32_t)(fmin(fmax(r[0], 0), 1) * (image->height - 1));
    const int32_t x = (int32_t)(fmin(fmax(r[1], 0), 1) * (image->width - 1));
    const int32_t y1 = (int32_t)ceil(fmin(fmax(r[2], 0), 1) * image->height);
    const int32_t x1 = (int32_t)ceil(fmin(fmax(r[3], 0), 1) * image->width);
    return (struct det_window){
        .y = y, .x = x, .height = y1 > y ? y1 - y : 1, .width = x1 > x ? x1 - x : 1};
}

static bool is_finite(const double box[4])
{
    return isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) && isfinite(box[3]) &&
           box[2] > box[0] && box[3] > box[1];
}

static void put_box(struct det_xml_writer *xml, const struct det_page_box *box,
                    const struct det_image *image, const struct det_window *window)
{
    char number[64];
    const double y = box->box[0] * image->height - window->y;
    const double x = box->box[1] * image->width - window->x;
    const double height = (box->box[2] - box->box[0]) * image->height;
    const double width = (box->box[3] - box->box[1]) * image->width;
    det_xml_open(xml, "rect");
    det_xml_attribute(xml, "class", box->style);
    det_xml_attribute(xml, "x", det_fixed_text(number, x, 1));
    det_xml_attribute(xml, "y", det_fixed_text(number, y, 1));
    det_xml_attribute(xml, "width", det_fixed_text(number, width, 1));
    det_xml_attribute(xml, "height", det_fixed_text(number, height, 1));
    if (box->name != NULL) {
        det_xml_open(xml, "title");
        det_xml_text_shown(xml, box->name);
        det_xml_close(xml);
    }
    det_xml_close(xml);
}

det_status det_boxed_picture(struct det_xml_writer *xml, struct det_image *small,
                             const struct det_boxed *boxed)
{
    const struct det_window window = window_of(boxed);
    DET_TRY_RETURN(det_shrink(xml->env, boxed->image, &window, boxed->side_px, small));
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "look");
    DET_TRY_RETURN(det_page_picture(xml, small, boxed->alt));
    det_xml_open(xml, "svg");
    det_xml_attribute_printf(xml, "viewBox", "0 0 %d %d", window.width, window.height);
    det_xml_attribute(xml, "preserveAspectRatio", "none");
    for (size_t i = 0; i < boxed->count; i++)
        if (is_finite(boxed->boxes[i].box))
            put_box(xml, &boxed->boxes[i], boxed->image, &window);
    det_xml_close(xml);
    det_xml_close(xml);
    return xml->status;
}
