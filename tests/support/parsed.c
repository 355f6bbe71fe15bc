#include "support/parsed.h"

#include "convert/read/xml.h"
#include "support/text.h"
#include "support/utf8.h"

cJSON *parsed_json(const char *text, const char *what)
{
    const char *end = NULL;
    if (!det_utf8_valid(text))
        fail_msg("%s: not UTF-8: %s", what, text);
    cJSON *value = cJSON_ParseWithOpts(text, &end, true);
    if (value == NULL)
        fail_msg("%s: no JSON at: %.80s\nof: %.2000s", what, end != NULL ? end : "", text);
    return value;
}

const cJSON *parsed_at(const cJSON *value, const char *path)
{
    char *parts = strdup(path), *rest = NULL;
    assert_non_null(parts);
    for (char *part = strtok_r(parts, "/", &rest); part != NULL && value != NULL;
         part = strtok_r(NULL, "/", &rest))
        value = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, atoi(part))
                                     : cJSON_GetObjectItemCaseSensitive(value, part);
    free(parts);
    if (value == NULL)
        fail_msg("no %s", path);
    return value;
}

const char *parsed_string(const cJSON *value, const char *path)
{
    const char *string = cJSON_GetStringValue(parsed_at(value, path));
    if (string == NULL)
        fail_msg("%s is no string", path);
    return string;
}

bool parsed_json_holds(const cJSON *value, const char *string)
{
    const cJSON *entry;
    if (value->string != NULL && strcmp(value->string, string) == 0)
        return true;
    if (cJSON_IsString(value))
        return strcmp(value->valuestring, string) == 0;
    cJSON_ArrayForEach(entry, value)
    {
        if (parsed_json_holds(entry, string))
            return true;
    }
    return false;
}

struct collecting {
    struct det_env *env;
    struct det_text values;
};

static det_status on_start(void *user, const struct det_xml_place *place,
                           const char *const *attributes)
{
    struct collecting *c = user;
    (void)place;
    for (size_t i = 0; attributes[i] != NULL; i += 2)
        DET_TRY_RETURN(det_text_printf(c->env, &c->values, "%s\n", attributes[i + 1]));
    return DET_OK;
}

static det_status on_end(void *user, const struct det_xml_place *place, const char *text)
{
    struct collecting *c = user;
    (void)place;
    return det_text_printf(c->env, &c->values, "%s\n", text);
}

bool parsed_xml(const char *text, const char *what, char **values)
{
    struct test_env t;
    test_env_init(&t);
    struct collecting c = {.env = &t.env};
    struct det_xml_reader xml = {0};
    const struct det_xml_handlers handlers = {.user = &c, .start = on_start, .end = on_end};
    if (!det_utf8_valid(text))
        fail_msg("%s: not UTF-8: %s", what, text);
    const det_status status =
        det_xml_parse(&t.env, &xml, what, text, strlen(text), NULL, &handlers);
    if (status != DET_OK && status != DET_STATUS_UNSUPPORTED)
        fail_msg("%s: %s\nof: %.2000s", what, t.env.error, text);
    *values = strdup(status == DET_OK ? c.values.data : "");
    assert_non_null(*values);
    det_text_free(&t.env, &c.values);
    det_xml_reader_close(&t.env, &xml);
    test_env_check(&t);
    if (status != DET_OK)
        print_message("skipped: %s is not parsed: %s\n", what, det_xml_missing());
    return status == DET_OK;
}
