/* xml.h: XML as a row of calls, for the annotation formats that are XML. expat does it
 * (expat_xml.c); a build without it has none_xml.c, which says so. */
#ifndef DET_TOOLS_DATA_XML_H
#define DET_TOOLS_DATA_XML_H

#include "support/env.h"

enum { XML_MOST_DEPTH = 32 };

/* Where the parser is: "annotation/object/name". */
struct xml_place {
    const char *path;
    uint32_t line;
};

/* A status other than DET_OK ends the parsing and is what xml_parse() returns. */
struct xml_handlers {
    void *user;
    /* attributes: name, value, name, value, ..., NULL */
    det_status (*start)(void *user, const struct xml_place *place, const char *const *attributes);
    /* text: what stood in the element outside its children, without blanks at both ends */
    det_status (*end)(void *user, const struct xml_place *place, const char *text);
};

/* `name` begins messages, which name the line. Any encoding that iconv knows is read
 * (support/encoding.h): `encoding` is that of a file that does not say its own, NULL: UTF-8.
 * Entities that a file defines are not expanded. */
det_status xml_parse(struct det_env *env, const char *name, const void *data, size_t bytes,
                     const char *encoding, const struct xml_handlers *handlers);

/* Value of an attribute, NULL when there is none. */
const char *xml_attribute(const char *const *attributes, const char *name);

/* "expat 2.5.0", or "no XML: ..." */
const char *xml_about(void);

#endif
