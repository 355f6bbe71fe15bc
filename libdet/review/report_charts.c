#include <math.h>
#include <stdio.h>

#include "review/report.h"

enum { CHART_WIDTH = 560, CHART_HEIGHT = 240, BASE = 196, CELL = 14 };

static void put_text(struct det_xml_writer *xml, const char *class, double x, double y,
                     const char *text)
{
    char number[64];
    det_xml_open(xml, "text");
    det_xml_attribute(xml, "class", class);
    det_xml_attribute(xml, "x", det_fixed_text(number, x, 1));
    det_xml_attribute(xml, "y", det_fixed_text(number, y, 1));
    det_xml_text(xml, text);
    det_xml_close(xml);
}

static void put_rect(struct det_xml_writer *xml, const char *class, const double box[4],
                     double opacity, const char *title)
{
    static const char *const names[] = {"y", "x", "height", "width"};
    char number[64];
    det_xml_open(xml, "rect");
    det_xml_attribute(xml, "class", class);
    for (int i = 0; i < 4; i++)
        det_xml_attribute(xml, names[i], det_fixed_text(number, box[i], 1));
    if (opacity < 1)
        det_xml_attribute(xml, "fill-opacity", det_fixed_text(number, opacity, 2));
    det_xml_element(xml, "title", title);
    det_xml_close(xml);
}

static void open_chart(struct det_xml_writer *xml, const char *title, const char *note, int width,
                       int height)
{
    det_xml_open(xml, "figure");
    det_xml_element(xml, "h3", title);
    det_xml_open(xml, "p");
    det_xml_attribute(xml, "class", "legend");
    det_xml_text(xml, note);
    det_xml_close(xml);
    det_xml_open(xml, "svg");
    det_xml_attribute_printf(xml, "viewBox", "0 0 %d %d", width, height);
    det_xml_attribute(xml, "role", "img");
    det_xml_attribute(xml, "aria-label", title);
}

static void close_chart(struct det_xml_writer *xml)
{
    det_xml_close(xml);
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

/* Bars of counts; `limits` [count - 1] stand between them. */
static void put_bars(struct det_xml_writer *xml, const char *title, const char *note,
                     const size_t *counts, int count, const char *const *limits)
{
    size_t most = 1;
    for (int i = 0; i < count; i++)
        most = counts[i] > most ? counts[i] : most;
    const double step = (double)CHART_WIDTH / count;
    open_chart(xml, title, note, CHART_WIDTH, CHART_HEIGHT);
    for (int i = 0; i < count; i++) {
        char text[64];
        const double height = 160.0 * (double)counts[i] / (double)most;
        const double bar[4] = {BASE - height, i * step + 3, height, step - 6};
        snprintf(text, sizeof text, "%zu boxes", counts[i]);
        put_rect(xml, "fill", bar, 1, text);
        snprintf(text, sizeof text, "%zu", counts[i]);
        if (counts[i] > 0)
            put_text(xml, "tx", (i + .5) * step, BASE - height - 6, text);
        if (i > 0)
            put_text(xml, "tx", i * step, BASE + 22, limits[i - 1]);
    }
    close_chart(xml);
}

void det_report_put_sizes(struct det_xml_writer *xml, const struct det_report_figures *f)
{
    static const char *const sides[] = {"4", "8", "16", "32", "64", "128", "256", "512", "1024"};
    static const char *const ratios[] = {"1/5", "1/3.4", "1/2.4", "1/1.7", "1/1.2",
                                         "1.2", "1.7",   "2.4",   "3.4",   "5"};
    char note[200];
    snprintf(note, sizeof note,
             "Square root of the area in pixels of the network's input, %d x %d.",
             f->spec.input_height, f->spec.input_width);
    put_bars(xml, "Sizes", note, f->sizes, REPORT_SIZE_BINS, sides);
    put_bars(xml, "Shapes", "Width by height in the network's input.", f->aspects,
             REPORT_ASPECT_BINS, ratios);
}

void det_report_put_places(struct det_xml_writer *xml, const struct det_report_figures *f)
{
    open_chart(xml, "Places", "How often boxes cover each part of the picture.", REPORT_GRID * CELL,
               REPORT_GRID * CELL);
    for (int y = 0; y < REPORT_GRID; y++)
        for (int x = 0; x < REPORT_GRID; x++) {
            char text[64];
            const double cell[4] = {y * CELL, x * CELL, CELL - 1, CELL - 1};
            snprintf(text, sizeof text, "%.0f %% of the most", 100 * f->places[y][x]);
            put_rect(xml, "heat", cell, .06 + .94 * f->places[y][x], text);
        }
    close_chart(xml);
}
