/* yaml.h: the top of a YAML file as a row of calls, for the data.yaml of YOLO. libyaml does it
 * (libyaml_yaml.c); a build without it has none_yaml.c, which says so. */
#ifndef DET_TOOLS_DATA_YAML_H
#define DET_TOOLS_DATA_YAML_H

#include "support/env.h"

/* A status other than DET_OK ends the parsing and is what yaml_parse() returns. */
struct yaml_handlers {
    void *user;
    /* A key of the top mapping; again when the file has it twice: then the last counts. */
    det_status (*key)(void *user, const char *key);
    /* A scalar that is the key's value, or one of its list ("- a", "[a]"), or of its mapping
     * ("0: a", "{0: a}"), whose key is `inner`; else `inner` is NULL. Anything deeper is left out.
     */
    det_status (*value)(void *user, const char *inner, const char *value, uint32_t line);
};

/* `name` begins messages, which name the line. `text` is UTF-8. Only the first document is read. */
det_status yaml_parse(struct det_env *env, const char *name, const char *text,
                      const struct yaml_handlers *handlers);

/* libyaml's version, or "no YAML: ..." */
const char *yaml_about(void);

#endif
