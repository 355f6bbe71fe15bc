#include "support/raccoon_config.h"

char *raccoon_text(void)
{
    char path[256];
    return test_read_text(test_golden(path, "configs/raccoon_320.config"));
}

char *text_edited(const char *text, const char *from, const char *to)
{
    const char *at = from[0] != '\0' ? strstr(text, from) : text + strlen(text);
    assert_non_null(at);
    char *result = malloc(strlen(text) + strlen(to) + 1);
    assert_non_null(result);
    sprintf(result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return result;
}

det_status parse_config(struct det_env *env, const char *text, struct det_pipeline_config *config)
{
    return det_pipeline_config_read_text(env, "dir/c", text, strlen(text), config);
}
