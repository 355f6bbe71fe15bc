#include "model/class_match.h"

#include <stdio.h>
#include <string.h>

#include "support/mem.h"
#include "support/utf8.h"

#define MOST_DIFFERENCES 4

static bool is_named(const struct det_known_classes *theirs, int32_t c)
{
    char number[24];
    if (c >= theirs->count || theirs->names[c] == NULL || theirs->names[c][0] == '\0')
        return false;
    snprintf(number, sizeof number, "class %d", (int)c + 1);
    return strcmp(theirs->names[c], number) != 0;
}

/* A file holds names as UTF-8, a label map any bytes. */
static bool is_same(const char *theirs, const char *ours)
{
    return strcmp(theirs, ours) == 0 || det_utf8_made_of(theirs, ours);
}

/* What people read, or the plain name: a map may have got display names since. */
static bool is_called(const struct det_label_map *ours, int32_t c, const char *name)
{
    return is_same(name, ours->display_names[c]) || is_same(name, ours->names[c]);
}

static bool is_listed(const struct det_label_map *ours, int32_t c)
{
    return c < ours->count && ours->display_names[c] != NULL;
}

det_status det_class_order_make(struct det_env *env, const struct det_known_classes *theirs,
                                const struct det_label_map *ours, struct det_class_order *order)
{
    *order = (struct det_class_order){.count = ours->count, .same = true};
    DET_TRY_RETURN(det_alloc(env, &order->from, (size_t)ours->count, sizeof *order->from,
                             "order of the classes"));
    for (int32_t c = 0; c < ours->count; c++) {
        const bool both = is_listed(ours, c) && is_named(theirs, c);
        const bool same = !both || is_called(ours, c, theirs->names[c]);
        order->from[c] = same && c < theirs->count ? c : -1;
        order->same = order->same && same;
    }
    /* A name at another id than here: moved, even if its old id is not named any more. */
    for (int32_t t = 0; t < theirs->count; t++) {
        if (!is_named(theirs, t) || (is_listed(ours, t) && order->from[t] == t))
            continue;
        const int32_t id = det_label_map_find(ours, theirs->names[t], strlen(theirs->names[t]));
        if (id < 1 || id - 1 == t)
            continue;
        const int32_t c = id - 1;
        if (order->from[c] == c && is_named(theirs, c))
            continue; /* a name that is there twice */
        order->from[c] = t;
        order->same = false;
    }
    for (int32_t c = 0; c < ours->count; c++)
        order->found += is_listed(ours, c) && order->from[c] >= 0;
    return DET_OK;
}

/* "id 1 is "car" there and "truck" here, ... " */
static det_status append_differences(struct det_env *env, const struct det_known_classes *theirs,
                                     const struct det_label_map *ours, struct det_text *text)
{
    int32_t told = 0, all = 0;
    const int32_t most = theirs->count > ours->count ? theirs->count : ours->count;
    for (int32_t c = 0; c < most; c++) {
        const bool listed = is_listed(ours, c), named = is_named(theirs, c);
        if (listed == named && (!listed || is_called(ours, c, theirs->names[c])))
            continue;
        all++;
        if (told == MOST_DIFFERENCES)
            continue;
        DET_TRY_RETURN(
            det_text_printf(env, text, "%sid %d is ", told++ > 0 ? ", " : "", (int)c + 1));
        DET_TRY_RETURN(named ? det_text_printf(env, text, "\"%.60s\" there", theirs->names[c])
                             : det_text_printf(env, text, "not named there"));
        DET_TRY_RETURN(
            listed ? det_text_printf(env, text, " and \"%.60s\" here", ours->display_names[c])
                   : det_text_printf(env, text, " and nothing here"));
    }
    return all > told ? det_text_printf(env, text, " and %d more", (int)(all - told)) : DET_OK;
}

det_status det_class_order_fail(struct det_env *env, const struct det_known_classes *theirs,
                                const struct det_label_map *ours, const char *advice)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(append_differences(env, theirs, ours, &text));
    DET_TRY(det_fail(env, DET_STATUS_MISMATCH, "%s: its classes are not those of %s: %s; %s",
                     theirs->path, ours->path, text.data, advice));
fail:
    det_text_free(env, &text);
    return status;
}

det_status det_class_order_require_all(struct det_env *env, const struct det_known_classes *theirs,
                                       const struct det_label_map *ours,
                                       const struct det_class_order *order)
{
    struct det_text text = {0};
    int32_t missing = 0;
    det_status status = DET_OK;
    for (int32_t c = 0; c < ours->count; c++) {
        if (!is_listed(ours, c) || order->from[c] >= 0)
            continue;
        if (missing++ < MOST_DIFFERENCES)
            DET_TRY(det_text_printf(env, &text, "%s\"%.60s\"", missing > 1 ? ", " : "",
                                    ours->display_names[c]));
    }
    if (missing > 0)
        DET_TRY(det_fail(env, DET_STATUS_MISMATCH,
                         "%s: has no class %s%s, which %s lists: nothing to take by name",
                         theirs->path, text.data, missing > MOST_DIFFERENCES ? ", ..." : "",
                         ours->path));
fail:
    det_text_free(env, &text);
    return status;
}

bool det_param_is_by_class(const struct det_param *param)
{
    return strstr(param->key, "/_class_predictor_layers/") != NULL &&
           param->role != DET_PARAM_DEPTHWISE;
}

void det_class_columns_take(const struct det_param *param, const struct det_class_order *order,
                            int32_t their_classes, const float *theirs, float *ours)
{
    const size_t ours_width = (size_t)order->count + 1, theirs_width = (size_t)their_classes + 1;
    const size_t cells = param->count / ours_width; /* rows x anchors */
    for (size_t i = 0; i < cells; i++) {
        float *to = ours + i * ours_width;
        const float *from = theirs + i * theirs_width;
        to[0] = from[0];
        for (int32_t c = 0; c < order->count; c++)
            if (order->from[c] >= 0)
                to[c + 1] = from[order->from[c] + 1];
    }
}
