/* xml.h: XML as a row of calls, for the annotation formats that are XML. expat does it
 * (expat_xml.c), which is loaded for the first file; a build without its headers has none_xml.c,
 * which says so. */
#ifndef DET_CONVERT_READ_XML_H
#define DET_CONVERT_READ_XML_H

#include "support/env.h"

enum { DET_XML_READER_MOST_DEPTH = 32 };

/* Where the parser is: "annotation/object/name". */
struct det_xml_place {
    const char *path;
    uint32_t line;
};

/* A status other than DET_OK ends the parsing and is what det_xml_parse() returns. */
struct det_xml_handlers {
    void *user;
    /* attributes: name, value, name, value, ..., NULL */
    det_status (*start)(void *user, const struct det_xml_place *place,
                        const char *const *attributes);
    /* text: what stood in the element outside its children, without blanks at both ends */
    det_status (*end)(void *user, const struct det_xml_place *place, const char *text);
};

/* What parses one file after the other; begins as {0}. */
struct det_xml_reader {
    struct det_expat *expat;
};
void det_xml_reader_close(struct det_env *env, struct det_xml_reader *xml);

/* `name` begins messages, which name the line. Any encoding that iconv knows is read
 * (support/encoding.h): `encoding` is that of a file that does not say its own, NULL: UTF-8.
 * Entities that a file defines are not expanded. UNSUPPORTED: there is no expat. */
det_status det_xml_parse(struct det_env *env, struct det_xml_reader *xml, const char *name,
                         const void *data, size_t bytes, const char *encoding,
                         const struct det_xml_handlers *handlers);

/* Value of an attribute, NULL when there is none. */
const char *det_xml_value_of(const char *const *attributes, const char *name);

/* Why XML cannot be read here; NULL: it can. */
const char *det_xml_missing(void);

#endif
