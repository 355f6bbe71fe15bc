/* report_svg.h: what the pictures of a report are made of. They stand alone as files: white paper,
 * no style sheet, and as wide as there is room for. */
#ifndef DET_EVAL_REPORT_SVG_H
#define DET_EVAL_REPORT_SVG_H

#include "support/xml_writer.h"

enum { DET_REPORT_FONT_PX = 13 };

/* <svg> with its paper; is closed by det_xml_close(). */
void det_report_svg_open(struct det_xml_writer *xml, int width, int height);

/* `anchor`: "start", "middle" or "end". */
void det_report_svg_text(struct det_xml_writer *xml, int x, int y, const char *anchor,
                         const char *text);

/* How wide a name is in a picture, in letters of middling width, with characters of East Asian
 * scripts and pictographs counted twice; at most `most`. */
int det_report_svg_letters(const char *name, int most);

/* A name into the element that is open, cut with an ellipsis to `most` letters; the whole of it is
 * the element's tooltip then. */
void det_report_svg_name(struct det_xml_writer *xml, const char *name, int most);

#endif
