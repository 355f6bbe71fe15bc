/* page.h: what all pages are made of: a head with the style sheet, a heading, pictures inside, a
 * foot. A page is one file that loads nothing from elsewhere. */
#ifndef DET_MONITOR_PAGE_H
#define DET_MONITOR_PAGE_H

#include "support/image.h"
#include "support/xml_writer.h"

/* Up to <main> and its heading: `title`, which is shown, and below it `what` and the date. `style`:
 * more of a style sheet, behind the common one; NULL: none. */
void det_page_begin(struct det_xml_writer *xml, const char *title, const char *what,
                    const char *style);
void det_page_end(struct det_xml_writer *xml);

/* <h2>, and <p class="note"> unless that is NULL. */
void det_page_section(struct det_xml_writer *xml, const char *title, const char *note);
/* A number with what it is, for <div class="cards">. */
void det_page_card(struct det_xml_writer *xml, const char *number, const char *what);

/* <img> with the pixels in it, as a JPEG: a tenth of the PNG's size. */
det_status det_page_picture(struct det_xml_writer *xml, const struct det_image *image,
                            const char *alt);

#endif
