/* yaml.h: the top of a YAML file as a row of calls, for the data.yaml of YOLO. libyaml does it
 * (libyaml_yaml.c), which is loaded for each file; a build without its headers has none_yaml.c,
 * which says so. */
#ifndef DET_CONVERT_READ_YAML_H
#define DET_CONVERT_READ_YAML_H

#include "support/env.h"

/* A status other than DET_OK ends the parsing and is what det_yaml_parse() returns. */
struct det_yaml_handlers {
    void *user;
    /* A key of the top mapping; again when the file has it twice: then the last counts. */
    det_status (*key)(void *user, const char *key);
    /* A scalar that is the key's value, or one of its list ("- a", "[a]"), or of its mapping
     * ("0: a", "{0: a}"), whose key is `inner`; else `inner` is NULL. Anything deeper is left out.
     */
    det_status (*value)(void *user, const char *inner, const char *value, uint32_t line);
};

/* `name` begins messages, which name the line. `text` is UTF-8. Only the first document is read.
 * UNSUPPORTED: there is no libyaml. */
det_status det_yaml_parse(struct det_env *env, const char *name, const char *text,
                          const struct det_yaml_handlers *handlers);

/* Why YAML cannot be read here; NULL: it can. */
const char *det_yaml_missing(void);

#endif
