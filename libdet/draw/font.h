/* font.h: the label font: printable ASCII drawn for this project as strokes, so that it is
 * anti-aliased at every size.
 *
 * A glyph is text: strokes separated by a blank, each a list of points "xy" in base 36 on a grid
 * where the caps' top is y = 2, the lower-case top y = 6, the baseline y = 14 and descenders end at
 * y = 18. A stroke that starts with '~' is a quadratic B-spline with clamped ends on those points,
 * others are polylines. Strokes have round ends. */
#ifndef DET_DRAW_FONT_H
#define DET_DRAW_FONT_H

#include <stdint.h>

#define DET_FONT_LINE_UNITS   20.0F
#define DET_FONT_GAP_UNITS    3.2F
#define DET_FONT_STROKE_UNITS 1.9F

struct det_glyph {
    uint8_t width_units;
    const char *strokes;
};

struct det_font_segment {
    float x0, y0, x1, y1; /* grid units */
};

#define DET_FONT_MAX_SEGMENTS 96

/* Glyphs outside printable ASCII are '?'. */
const struct det_glyph *det_font_glyph(unsigned character);

/* The strokes as line segments; returns how many (at most DET_FONT_MAX_SEGMENTS). */
int det_font_segments(const struct det_glyph *glyph, struct det_font_segment *segments);

/* Next character of UTF-8 text: moves *text on and returns the character, '?' for anything outside
 * printable ASCII (one '?' per code point or stray byte), 0 at the end. */
unsigned det_font_next(const char **text);

#endif
