#include "formats/python_json.h"

#include <string.h>

/* The word that begins here, NULL: none. */
static const char *word_at(const char *data, size_t bytes)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t length = strlen(words[i]);
        if (bytes >= length && memcmp(data, words[i], length) == 0)
            return words[i];
    }
    return NULL;
}

det_status det_python_json_replace(struct det_env *env, const char *data, size_t bytes,
                                   struct det_text *json, size_t *count)
{
    size_t copied = 0;
    bool in_string = false;
    *count = 0;
    for (size_t at = 0; at < bytes; at++) {
        if (data[at] == '\\') { /* outside strings there is none */
            at++;
            continue;
        }
        if (data[at] == '"')
            in_string = !in_string;
        if (in_string || (data[at] != 'N' && data[at] != 'I' && data[at] != '-'))
            continue;
        const char *word = word_at(data + at, bytes - at);
        if (word == NULL)
            continue;
        ++*count;
        DET_TRY_RETURN(det_text_append(env, json, data + copied, at - copied));
        DET_TRY_RETURN(det_text_printf(env, json, word[0] == '-' ? "-1e999" : "1e999"));
        copied = at + strlen(word);
        at = copied - 1;
    }
    return det_text_append(env, json, data + copied, bytes - copied);
}
