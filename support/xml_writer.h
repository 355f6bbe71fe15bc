/* xml_writer.h: the one way in which the library and its tools write XML, and what looks like it:
 * SVG and HTML. Element by element into a text, with names, quotes and brackets where they belong,
 * so that no name, path or number can end an attribute or an element.
 *
 * Text comes from outside (class names, paths, which are bytes) and is made well-formed XML 1.0 as
 * det_text_xml() of support/text.h does it: & < > " ' as entities; control characters, which XML
 * has not (or readers turn into blanks), and U+FFFE, U+FFFF as "?"; a byte that belongs to no
 * character of UTF-8 as "%" and two hexadecimal digits. What people look at takes the `_shown`
 * calls instead: what could steer a terminal or turn a line around is an escape there
 * (support/utf8.h). Numbers are made by the caller; those that are not finite must not get here as
 * coordinates.
 *
 * The first failure is kept and the calls behind it do nothing: det_xml_end() returns it. */
#ifndef DET_SUPPORT_XML_WRITER_H
#define DET_SUPPORT_XML_WRITER_H

#include "support/text.h"

enum { DET_XML_MOST_DEPTH = 16 };

struct det_xml_writer {
    struct det_env *env;
    struct det_text *text;
    det_status status;                        /* the first that was not OK */
    const char *elements[DET_XML_MOST_DEPTH]; /* that are open, outermost first */
    int depth;
    bool in_tag; /* of the innermost, which attributes may still be added to */
};

/* Appends to `text` (borrowed); what is there may be taken out of it between any two calls. */
void det_xml_begin(struct det_xml_writer *xml, struct det_env *env, struct det_text *text);
/* INTERNAL when an element is still open. */
det_status det_xml_end(struct det_xml_writer *xml);

/* <element; the name is a literal, kept until it is closed. */
void det_xml_open(struct det_xml_writer *xml, const char *element);
/* In the tag that was just opened. */
void det_xml_attribute(struct det_xml_writer *xml, const char *name, const char *value);
void det_xml_attribute_shown(struct det_xml_writer *xml, const char *name, const char *value);
void det_xml_attribute_int(struct det_xml_writer *xml, const char *name, int64_t value);
void det_xml_attribute_printf(struct det_xml_writer *xml, const char *name, const char *format, ...)
    DET_PRINTF(3, 4);
void det_xml_text(struct det_xml_writer *xml, const char *value);
void det_xml_text_shown(struct det_xml_writer *xml, const char *value);
void det_xml_text_printf(struct det_xml_writer *xml, const char *format, ...) DET_PRINTF(2, 3);
/* A line end and so many blanks, for people. */
void det_xml_line(struct det_xml_writer *xml, int blanks);
/* Markup that is well-formed already. */
void det_xml_made(struct det_xml_writer *xml, const char *markup);
/* </element> */
void det_xml_close(struct det_xml_writer *xml);
/* The same of one that holds nothing, by "/>": not for HTML's elements, but those that never do. */
void det_xml_close_empty(struct det_xml_writer *xml);
/* <element>value</element> */
void det_xml_element(struct det_xml_writer *xml, const char *element, const char *value);

#endif
