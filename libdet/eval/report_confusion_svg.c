/* report_confusion_svg.c: the confusion matrix as SVG. A cell's colour is its share of its row, so
 * that a rare class shows as clearly as a frequent one: blue on the diagonal, red beside it. The
 * count stands in the cell where it fits, and in its tooltip always. A row without objects is
 * grey. */
#include <math.h>
#include <stdio.h>

#include "eval/detection_report.h"
#include "eval/report_svg.h"

enum {
    TOP = 66, /* title, notes and the columns' own name */
    LEFT = 26,
    GAP = 8,
    MARGIN = 16,
    MATRIX_SIDE = 760,
    LEAST_CELL = 11,
    MOST_CELL = 64,
    LEAST_FONT = 7,
    MOST_LETTERS = 22,
    LEAST_WIDTH = 480,
};

#define LETTER_SHARE 0.62 /* of the font's size, with some room */

/* Where things are, in the picture's units. */
struct layout {
    int cell, font, names; /* side of a cell, size of the names' letters, room for them */
    int x, y;              /* of the matrix */
    int side;
    int width, height;
};

struct matrix {
    const det_detection_report *report;
    struct layout at;
    size_t side; /* classes and the background */
};

static const char *row_name(const struct matrix *m, size_t row, char number[32])
{
    return row + 1 < m->side ? det_class_report_name(&m->report->classes[row], number)
                             : "(nothing there)";
}

static const char *column_name(const struct matrix *m, size_t column, char number[32])
{
    return column + 1 < m->side ? det_class_report_name(&m->report->classes[column], number)
                                : "(missed)";
}

static int clamp(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

static struct layout lay_out(const struct matrix *m)
{
    struct layout at = {0};
    char number[32];
    int letters = 0;
    for (size_t i = 0; i < m->side; i++) {
        const int row = det_report_svg_letters(row_name(m, i, number), MOST_LETTERS);
        const int column = det_report_svg_letters(column_name(m, i, number), MOST_LETTERS);
        letters = row > letters ? row : letters;
        letters = column > letters ? column : letters;
    }
    at.cell = clamp((int)(MATRIX_SIDE / (double)m->side), LEAST_CELL, MOST_CELL);
    at.font = clamp(at.cell - 1, LEAST_FONT, DET_REPORT_FONT_PX);
    at.names = (int)ceil(letters * at.font * LETTER_SHARE) + GAP;
    at.x = LEFT + at.names;
    at.y = TOP + at.names;
    at.side = at.cell * (int)m->side;
    at.width = at.x + at.side + MARGIN;
    at.width = at.width > LEAST_WIDTH ? at.width : LEAST_WIDTH;
    at.height = at.y + at.side + MARGIN;
    return at;
}

/* --- cells --- */

static void put_fill(struct det_xml_writer *xml, double share, bool right)
{
    static const int full[2][3] = {{190, 50, 30}, {30, 80, 190}};
    int rgb[3];
    /* One of a hundred still shows. */
    const double depth = 0.1 + 0.9 * share;
    for (int i = 0; i < 3; i++)
        rgb[i] = (int)lround(255 + (full[right][i] - 255) * depth);
    det_xml_attribute_printf(xml, "fill", "#%02x%02x%02x", (unsigned)rgb[0], (unsigned)rgb[1],
                             (unsigned)rgb[2]);
}

static void put_square(struct det_xml_writer *xml, int x, int y, int width, int height)
{
    det_xml_open(xml, "rect");
    det_xml_attribute_int(xml, "x", x);
    det_xml_attribute_int(xml, "y", y);
    det_xml_attribute_int(xml, "width", width);
    det_xml_attribute_int(xml, "height", height);
}

/* The count, in letters as large as the cell takes; none where they would be too small to read. */
static void put_count(struct det_xml_writer *xml, const struct matrix *m, int x, int y,
                      int64_t count, bool on_dark)
{
    char number[32];
    const int cell = m->at.cell;
    const int digits = snprintf(number, sizeof number, "%lld", (long long)count);
    const int fits = (int)floor((cell - 2) / (digits * LETTER_SHARE));
    const int font = clamp(fits < cell - 3 ? fits : cell - 3, 0, DET_REPORT_FONT_PX);
    if (font < LEAST_FONT)
        return;
    det_xml_open(xml, "text");
    det_xml_attribute_int(xml, "x", x + cell / 2);
    det_xml_attribute_int(xml, "y", y + (cell + font * 7 / 10) / 2);
    det_xml_attribute(xml, "text-anchor", "middle");
    det_xml_attribute_int(xml, "font-size", font);
    det_xml_attribute(xml, "fill", on_dark ? "white" : "#1c2330");
    det_xml_text(xml, number);
    det_xml_close(xml);
}

static void put_tooltip(struct det_xml_writer *xml, const struct matrix *m, size_t row,
                        size_t column, int64_t count, int64_t sum)
{
    char number[32], other[32], percent[64];
    det_xml_open(xml, "title");
    det_xml_text_shown(xml, row_name(m, row, number));
    det_xml_text(xml, " \342\206\222 ");
    det_xml_text_shown(xml, column_name(m, column, other));
    det_xml_text_printf(xml, ": %lld of %lld (%s %%)", (long long)count, (long long)sum,
                        det_fixed_text(percent, 100 * (double)count / (double)sum, 1));
    det_xml_close(xml);
}

static void put_row(struct det_xml_writer *xml, const struct matrix *m, size_t row)
{
    const int64_t *counts = m->report->confusion + row * m->side;
    const int y = m->at.y + (int)row * m->at.cell;
    int64_t sum = 0;
    for (size_t column = 0; column < m->side; column++)
        sum += counts[column];
    if (sum == 0) {
        put_square(xml, m->at.x, y, m->at.side, m->at.cell);
        det_xml_attribute(xml, "fill", "#eceef2");
        det_xml_element(xml, "title", "none");
        det_xml_close(xml);
    }
    for (size_t column = 0; column < m->side; column++) {
        if (counts[column] == 0)
            continue;
        const double share = (double)counts[column] / (double)sum;
        const int x = m->at.x + (int)column * m->at.cell;
        det_xml_open(xml, "g");
        put_square(xml, x, y, m->at.cell, m->at.cell);
        put_fill(xml, share, row == column);
        det_xml_close_empty(xml);
        put_count(xml, m, x, y, counts[column], share > 0.65);
        put_tooltip(xml, m, row, column, counts[column], sum);
        det_xml_close(xml);
    }
    det_xml_line(xml, 0);
}

/* --- around them --- */

static void put_names(struct det_xml_writer *xml, const struct matrix *m)
{
    const struct layout *at = &m->at;
    char number[32];
    for (size_t i = 0; i < m->side; i++) {
        const int middle = (int)i * at->cell + (at->cell + at->font * 7 / 10) / 2;
        det_xml_open(xml, "text");
        det_xml_attribute_int(xml, "x", at->x - GAP / 2);
        det_xml_attribute_int(xml, "y", at->y + middle);
        det_xml_attribute(xml, "text-anchor", "end");
        det_xml_attribute_int(xml, "font-size", at->font);
        det_report_svg_name(xml, row_name(m, i, number), MOST_LETTERS);
        det_xml_close(xml);
        det_xml_open(xml, "text");
        det_xml_attribute_printf(xml, "transform", "translate(%d %d) rotate(-90)", at->x + middle,
                                 at->y - GAP / 2);
        det_xml_attribute_int(xml, "font-size", at->font);
        det_report_svg_name(xml, column_name(m, i, number), MOST_LETTERS);
        det_xml_close(xml);
        det_xml_line(xml, 0);
    }
}

static void put_lines(struct det_xml_writer *xml, const struct matrix *m)
{
    const struct layout *at = &m->at;
    for (size_t i = 0; i <= m->side; i++) {
        const int step = (int)i * at->cell;
        /* The background's row and column are set off. */
        const bool outer = i == 0 || i + 1 >= m->side;
        det_xml_open(xml, "path");
        det_xml_attribute_printf(xml, "d", "M%d %dh%dM%d %dv%d", at->x, at->y + step, at->side,
                                 at->x + step, at->y, at->side);
        det_xml_attribute(xml, "stroke", outer ? "#667085" : "#e4e7ec");
        det_xml_close_empty(xml);
    }
    det_xml_line(xml, 0);
}

static void put_heading(struct det_xml_writer *xml, const struct matrix *m)
{
    const det_detection_report_settings *s = &m->report->settings;
    const struct layout *at = &m->at;
    char title[192], iou[64], score[64];
    snprintf(title, sizeof title, "Confusion at IoU %s, detections with a score of at least %s",
             det_fixed_text(iou, s->iou_threshold, 2),
             det_fixed_text(score, s->confusion_score, 2));
    det_report_svg_text(xml, GAP, 20, "start", title);
    det_report_svg_text(xml, GAP, 38, "start",
                        "Colour: share of the row; blue: right, red: wrong, grey: none there");
    det_report_svg_text(xml, at->x, TOP - 6, "start", "detected as");
    det_xml_open(xml, "text");
    det_xml_attribute_printf(xml, "transform", "translate(%d %d) rotate(-90)", LEFT - 10,
                             at->y + at->side);
    det_xml_text(xml, "object");
    det_xml_close(xml);
    det_xml_line(xml, 0);
}

det_status det_report_confusion_svg(struct det_env *env, const det_detection_report *report,
                                    struct det_text *text)
{
    struct matrix m = {.report = report, .side = report->class_count + 1};
    struct det_xml_writer xml;
    m.at = lay_out(&m);
    det_xml_begin(&xml, env, text);
    det_report_svg_open(&xml, m.at.width, m.at.height);
    put_heading(&xml, &m);
    put_names(&xml, &m);
    for (size_t row = 0; row < m.side; row++)
        put_row(&xml, &m, row);
    put_lines(&xml, &m);
    det_xml_close(&xml);
    det_xml_line(&xml, 0);
    return det_xml_end(&xml);
}
