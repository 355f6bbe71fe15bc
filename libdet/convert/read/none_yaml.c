/* Stands in for libyaml_yaml.c. */
#include "convert/read/yaml.h"

det_status det_yaml_parse(struct det_env *env, const char *name, const char *text,
                          const struct det_yaml_handlers *handlers)
{
    (void)text, (void)handlers;
    return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: YAML: %s", name, det_yaml_missing());
}

const char *det_yaml_missing(void)
{
    return "libdet was built without libyaml; install libyaml-dev and build again";
}
