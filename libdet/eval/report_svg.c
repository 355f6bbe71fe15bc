#include "eval/report_svg.h"

#include "support/mem.h"
#include "support/utf8.h"

void det_report_svg_open(struct det_xml_writer *xml, int width, int height)
{
    det_xml_open(xml, "svg");
    det_xml_attribute(xml, "xmlns", "http://www.w3.org/2000/svg");
    det_xml_attribute_printf(xml, "viewBox", "0 0 %d %d", width, height);
    det_xml_attribute_int(xml, "width", width);
    det_xml_attribute_int(xml, "height", height);
    det_xml_attribute(xml, "style", "max-width:100%;height:auto");
    det_xml_attribute(xml, "font-family", "sans-serif");
    det_xml_attribute_int(xml, "font-size", DET_REPORT_FONT_PX);
    det_xml_line(xml, 0);
    det_xml_open(xml, "rect");
    det_xml_attribute(xml, "width", "100%");
    det_xml_attribute(xml, "height", "100%");
    det_xml_attribute(xml, "fill", "white");
    det_xml_close_empty(xml);
    det_xml_line(xml, 0);
}

void det_report_svg_text(struct det_xml_writer *xml, int x, int y, const char *anchor,
                         const char *text)
{
    det_xml_open(xml, "text");
    det_xml_attribute_int(xml, "x", x);
    det_xml_attribute_int(xml, "y", y);
    det_xml_attribute(xml, "text-anchor", anchor);
    det_xml_text_shown(xml, text);
    det_xml_close(xml);
}

/* Hangul, kana, Han and their full-width forms; pictographs. */
static int letters_of(uint32_t code)
{
    const bool wide = (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
                      (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
                      (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
                      (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
    return wide ? 2 : 1;
}

/* Letters of a shown text; *fits: bytes of it that take at most `most` of them. */
static int measure(const char *shown, int most, size_t *fits)
{
    int letters = 0;
    uint32_t code = 0;
    *fits = 0;
    for (size_t at = 0; shown[at] != '\0';) {
        const size_t bytes = det_utf8_next(shown + at, &code);
        letters += letters_of(code);
        at += bytes;
        if (letters <= most)
            *fits = at;
    }
    return letters;
}

enum { SHOWN_BYTES = 1024 };

int det_report_svg_letters(const char *name, int most)
{
    char shown[SHOWN_BYTES];
    size_t fits = 0;
    det_utf8_shown(shown, sizeof shown, name, false);
    const int letters = measure(shown, most, &fits);
    return letters < most ? letters : most;
}

void det_report_svg_name(struct det_xml_writer *xml, const char *name, int most)
{
    char shown[SHOWN_BYTES];
    size_t whole = 0, fits = 0;
    det_utf8_shown(shown, sizeof shown, name, false);
    if (measure(shown, most, &whole) <= most) {
        det_xml_text(xml, shown);
        return;
    }
    (void)measure(shown, most - 1, &fits);
    shown[fits] = '\0';
    det_xml_text(xml, shown);
    det_xml_text(xml, "\342\200\246");
    det_xml_open(xml, "title");
    det_xml_text_shown(xml, name);
    det_xml_close(xml);
}
