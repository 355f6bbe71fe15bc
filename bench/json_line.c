#include "json_line.h"

#include <stdio.h>

void json_line_open(struct json_line *line, struct det_env *env)
{
    line->text = (struct det_text){0};
    det_json_begin(&line->json, env, &line->text, DET_JSON_SPACED);
    det_json_open_object(&line->json, NULL);
}

det_status json_line_close(struct json_line *line)
{
    det_json_close_object(&line->json);
    const det_status status = det_json_end(&line->json);
    if (status == DET_OK)
        puts(line->text.data);
    det_text_free(line->json.env, &line->text);
    return status;
}
