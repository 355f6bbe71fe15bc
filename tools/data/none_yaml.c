#include "data/yaml.h"

det_status yaml_parse(struct det_env *env, const char *name, const char *text,
                      const struct yaml_handlers *handlers)
{
    (void)text, (void)handlers;
    return det_fail(
        env, DET_STATUS_UNSUPPORTED,
        "%s: this det-data was built without libyaml and reads no YAML: install libyaml-dev and "
        "build again",
        name);
}

const char *yaml_about(void)
{
    return "no YAML: built without libyaml";
}
