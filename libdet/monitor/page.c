#include "monitor/page.h"

#include "data/image.h"
#include "det/version.h"
#include "monitor/plot_style.h"
#include "support/clock.h"
#include "support/mem.h"

enum { QUALITY = 86 };

static void put_meta(struct det_xml_writer *xml, const char *name, const char *value)
{
    det_xml_open(xml, "meta");
    if (value == NULL) {
        det_xml_attribute(xml, "charset", name);
    } else {
        det_xml_attribute(xml, "name", name);
        det_xml_attribute(xml, "content", value);
    }
    det_xml_close_empty(xml);
}

static void put_head(struct det_xml_writer *xml, const char *title, const char *style)
{
    det_xml_made(xml, "<!DOCTYPE html>\n");
    det_xml_open(xml, "html");
    det_xml_attribute(xml, "lang", "en");
    det_xml_open(xml, "head");
    put_meta(xml, "utf-8", NULL);
    put_meta(xml, "viewport", "width=device-width,initial-scale=1");
    det_xml_open(xml, "title");
    det_xml_text_shown(xml, title);
    det_xml_close(xml);
    det_xml_line(xml, 0);
    det_xml_open(xml, "style");
    det_xml_line(xml, 0);
    det_xml_made(xml, det_plot_style);
    if (style != NULL)
        det_xml_made(xml, style);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

void det_page_begin(struct det_xml_writer *xml, const char *title, const char *what,
                    const char *style)
{
    char date[DET_CLOCK_DATE_BYTES];
    put_head(xml, title, style);
    det_xml_open(xml, "body");
    det_xml_open(xml, "main");
    det_xml_open(xml, "header");
    det_xml_open(xml, "h1");
    det_xml_text_shown(xml, title);
    det_xml_close(xml);
    det_xml_open(xml, "p");
    det_xml_text_printf(xml, "%s, %.16s UTC", what, det_clock_utc(date));
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

void det_page_end(struct det_xml_writer *xml)
{
    det_xml_open(xml, "footer");
    det_xml_text_printf(xml, "libdet %s", det_version_string());
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

void det_page_section(struct det_xml_writer *xml, const char *title, const char *note)
{
    det_xml_element(xml, "h2", title);
    if (note != NULL) {
        det_xml_open(xml, "p");
        det_xml_attribute(xml, "class", "note");
        det_xml_text(xml, note);
        det_xml_close(xml);
    }
    det_xml_line(xml, 0);
}

void det_page_card(struct det_xml_writer *xml, const char *number, const char *what)
{
    det_xml_open(xml, "div");
    det_xml_attribute(xml, "class", "card");
    det_xml_element(xml, "b", number);
    det_xml_element(xml, "span", what);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

static det_status append_base64(struct det_env *env, const uint8_t *data, size_t bytes,
                                struct det_text *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        const size_t left = bytes - i;
        const uint32_t triple = (uint32_t)data[i] << 16 |
                                (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                                (left > 2 ? (uint32_t)data[i + 2] : 0);
        const char four[4] = {digits[triple >> 18], digits[triple >> 12 & 63],
                              left > 1 ? digits[triple >> 6 & 63] : '=',
                              left > 2 ? digits[triple & 63] : '='};
        DET_TRY_RETURN(det_text_append(env, text, four, sizeof four));
    }
    return DET_OK;
}

det_status det_page_picture(struct det_xml_writer *xml, const struct det_image *image,
                            const char *alt)
{
    struct det_env *env = xml->env;
    struct det_text source = {0};
    uint8_t *jpeg = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    DET_TRY(det_image_encode_jpeg(env, image, QUALITY, &jpeg, &bytes));
    DET_TRY(det_text_printf(env, &source, "data:image/jpeg;base64,"));
    DET_TRY(append_base64(env, jpeg, bytes, &source));
    det_xml_open(xml, "img");
    det_xml_attribute_int(xml, "width", image->width);
    det_xml_attribute_int(xml, "height", image->height);
    det_xml_attribute_shown(xml, "alt", alt);
    det_xml_attribute(xml, "src", source.data);
    det_xml_close_empty(xml);
    status = xml->status;
fail:
    det_text_free(env, &source);
    det_free(env, &jpeg);
    return status;
}
