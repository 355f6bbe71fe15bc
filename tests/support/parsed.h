/* parsed.h: texts that the library and the tools write, read by somebody else's parser: cJSON for
 * JSON, expat for XML and what is to be well-formed like it (SVG, the pages of det-plot). */
#ifndef DET_TESTS_SUPPORT_PARSED_H
#define DET_TESTS_SUPPORT_PARSED_H

#include <cjson/cJSON.h>

#include "support/test.h"

/* Fails unless `text` is one JSON value in UTF-8 and nothing else; cJSON_Delete() it. */
cJSON *parsed_json(const char *text, const char *what);
/* Of an object, by a path of keys and places in lists: "classes/1/name". Fails without one. */
const cJSON *parsed_at(const cJSON *value, const char *path);
const char *parsed_string(const cJSON *value, const char *path);
/* Whether any string or key in it is this one. */
bool parsed_json_holds(const cJSON *value, const char *string);

/* Fails unless `text` is well-formed XML in UTF-8. *values: each attribute's value and each
 * element's text in a line; free() it. False in a build without expat, which is said. */
bool parsed_xml(const char *text, const char *what, char **values);

#endif
