#include "support/safe_name.h"

#include <string.h>
#include <strings.h>

#include "support/mem.h"
#include "support/text.h"
#include "support/utf8.h"

enum { MOST_EXTENSION = 16 }; /* bytes of what counts as an extension */

/* C0, DEL and C1. */
static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static det_status append_safe(struct det_env *env, struct det_text *out, const char *name)
{
    while (*name != '\0') {
        uint32_t code = 0;
        char piece[4];
        const bool is_utf8 = det_utf8_next(name, &code) > 0;
        const size_t bytes = det_utf8_made(&name, piece);
        if (is_utf8 && (is_control(code) || code == '/' || code == '\\'))
            DET_TRY_RETURN(det_text_append(env, out, "_", 1));
        else
            DET_TRY_RETURN(det_text_append(env, out, piece, bytes));
    }
    return DET_OK;
}

/* "con", "NUL.txt", "com1": what Windows takes for a device, whatever the extension. */
static bool is_device(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul"};
    const size_t length = strcspn(name, ".");
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (length == 3 && strncasecmp(name, devices[i], 3) == 0)
            return true;
    return length == 4 && name[3] >= '1' && name[3] <= '9' &&
           (strncasecmp(name, "com", 3) == 0 || strncasecmp(name, "lpt", 3) == 0);
}

/* Takes bytes out in front of the extension, whole characters. */
static void shorten(char *name)
{
    const size_t length = strlen(name);
    if (length <= DET_SAFE_NAME_BYTES)
        return;
    const char *dot = strrchr(name, '.');
    const size_t tail =
        dot != NULL && strlen(dot) <= MOST_EXTENSION && dot != name ? strlen(dot) : 0;
    size_t kept = DET_SAFE_NAME_BYTES - tail;
    while (kept > 0 && ((unsigned char)name[kept] & 0xc0) == 0x80)
        kept--;
    memmove(name + kept, name + length - tail, tail + 1);
}

det_status det_safe_name(struct det_env *env, const char *name, char **safe)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    *safe = NULL;
    if (is_device(name) || name[0] == '\0')
        DET_TRY(det_text_append(env, &text, "_", 1));
    DET_TRY(append_safe(env, &text, name));
    shorten(text.data);
    if (text.data[0] == '.' || text.data[0] == '-')
        text.data[0] = '_';
    char *last = text.data + strlen(text.data) - 1;
    if (*last == '.' || *last == ' ')
        *last = '_';
    *safe = text.data;
    return DET_OK;
fail:
    det_text_free(env, &text);
    return status;
}

static int64_t hash_of(uint64_t scope, const char *name)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (int byte = 0; byte < 8; byte++)
        hash = (hash ^ (scope >> (8 * byte) & 0xff)) * 1099511628211U;
    for (; *name != '\0'; name++) {
        const unsigned char c = (unsigned char)*name;
        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 1099511628211U;
    }
    return (int64_t)hash;
}

static det_status take(struct det_env *env, struct det_name_set *set, int64_t hash)
{
    DET_TRY_RETURN(det_grow(env, &set->next, &set->capacity, set->count + 1, sizeof *set->next,
                            "names of files"));
    DET_TRY_RETURN(det_id_map_add(env, &set->hashes, hash, (uint32_t)set->count));
    set->next[set->count++] = 2;
    return DET_OK;
}

det_status det_name_set_unique(struct det_env *env, struct det_name_set *set, uint64_t scope,
                               const char *name, char **unique)
{
    uint32_t first = 0, other = 0;
    det_status status = DET_OK;
    *unique = NULL;
    const int64_t hash = hash_of(scope, name);
    if (!det_id_map_find(&set->hashes, hash, &first)) {
        DET_TRY(det_strdup(env, unique, name));
        DET_TRY(take(env, set, hash));
        return DET_OK;
    }
    do {
        det_free(env, unique);
        DET_TRY(det_format(env, unique, "%s_%u", name, set->next[first]++));
    } while (det_id_map_find(&set->hashes, hash_of(scope, *unique), &other));
    DET_TRY(take(env, set, hash_of(scope, *unique)));
    return DET_OK;
fail:
    det_free(env, unique);
    return status;
}

void det_name_set_free(struct det_env *env, struct det_name_set *set)
{
    det_id_map_free(env, &set->hashes);
    det_free(env, &set->next);
    *set = (struct det_name_set){0};
}
