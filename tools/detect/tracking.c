#include "detect/tracking.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "detect/stages.h"
#include "support/json_writer.h"
#include "support/mem.h"

enum {
    MOST_POINTS = 64,
    FRAME_RATE = 25 /* of images, and where a video has none */
};

/* --- options --- */

static det_status parse_place(struct det_env *env, struct tracking *t, const char *option,
                              const char *text, bool is_line)
{
    float values[2 * MOST_POINTS];
    size_t count = 0;
    for (const char *at = text; count < 2 * MOST_POINTS; at++) {
        char *end = NULL;
        values[count] = strtof(at, &end); /* the tools never set a locale */
        if (end == at || !isfinite(values[count]) || (*end != ',' && *end != '\0'))
            count = 2 * MOST_POINTS; /* refused below */
        else
            count++;
        at = end;
        if (*at == '\0')
            break;
    }
    if (count >= 2 * MOST_POINTS || count % 2 != 0 || count < 4 || (is_line && count != 4))
        return det_fail(
            env, DET_STATUS_INVALID_ARGUMENT, "%s: got \"%s\", expected %s", option, text,
            is_line ? "x0,y0,x1,y1" : "x0,y0,x1,y1 of a rectangle, or x,y of 3 to 63 corners");
    DET_TRY_RETURN(det_grow(env, &t->places, &t->place_capacity, t->place_count + 1,
                            sizeof *t->places, "lines and zones"));
    struct count_place *place = &t->places[t->place_count++];
    place->is_line = is_line;
    int same = 1;
    for (size_t i = 0; i + 1 < t->place_count; i++)
        same += t->places[i].is_line == is_line;
    snprintf(place->name, sizeof place->name, "%s %d", is_line ? "line" : "zone", same);
    if (!is_line && count == 4) {
        const float x0 = values[0], y0 = values[1], x1 = values[2], y1 = values[3];
        const float corners[8] = {x0, y0, x1, y0, x1, y1, x0, y1};
        memcpy(values, corners, sizeof corners);
        count = 8;
    }
    place->count = count / 2;
    DET_TRY_RETURN(det_alloc(env, &place->points, place->count, sizeof *place->points, "points"));
    DET_TRY_RETURN(det_alloc(env, &place->shares, place->count, sizeof *place->shares, "points"));
    memcpy(place->points, values, count * sizeof *values);
    return DET_OK;
}

det_status tracking_parse(struct det_env *env, struct tracking *t, const struct option_list *lines,
                          const struct option_list *zones)
{
    for (size_t i = 0; i < lines->count; i++)
        DET_TRY_RETURN(parse_place(env, t, "--count_line", lines->values[i], true));
    for (size_t i = 0; i < zones->count; i++)
        DET_TRY_RETURN(parse_place(env, t, "--count_zone", zones->values[i], false));
    t->on = t->on || t->place_count > 0;
    return DET_OK;
}

/* --- a video or the images --- */

static void end_source(struct tracking *t)
{
    det_tracker_destroy(&t->tracker);
    det_counter_destroy(&t->everywhere);
    for (size_t i = 0; i < t->place_count; i++)
        det_counter_destroy(&t->places[i].counter);
}

static void to_shares(struct count_place *place, int32_t width, int32_t height)
{
    bool pixels = false;
    for (size_t i = 0; i < place->count; i++)
        pixels = pixels || place->points[i][0] > 1 || place->points[i][1] > 1;
    for (size_t i = 0; i < place->count; i++) {
        place->shares[i][0] = place->points[i][0] / (pixels ? (float)width : 1);
        place->shares[i][1] = place->points[i][1] / (pixels ? (float)height : 1);
    }
}

static det_status begin_places(struct det_env *env, struct tracking *t, int32_t width,
                               int32_t height)
{
    for (size_t i = 0; i < t->place_count; i++) {
        struct count_place *place = &t->places[i];
        to_shares(place, width, height);
        const det_status status =
            det_counter_create(t->context, (const float(*)[2])place->shares, place->count,
                               t->filter->count, &place->counter);
        if (status != DET_OK)
            return det_fail_prefix(env, tool_adopt(env, t->context, status), "%s", place->name);
    }
    return DET_OK;
}

static det_status begin(struct det_env *env, struct tracking *t, int32_t width, int32_t height,
                        double frame_rate)
{
    static const float all[4][2] = {{-1, -1}, {2, -1}, {2, 2}, {-1, 2}};
    const int32_t classes = t->filter->count;
    det_tracker_settings settings;
    det_tracker_settings_default(&settings);
    settings.class_score = t->filter->threshold + 1;
    settings.class_count = classes;
    settings.low_score = fminf(TRACKING_LOW_SCORE, t->filter->lowest);
    settings.frame_rate = frame_rate;
    det_status status = det_tracker_create(t->context, &settings, &t->tracker);
    if (status == DET_OK)
        status = det_counter_create(t->context, all, 4, classes, &t->everywhere);
    if (status != DET_OK)
        return tool_adopt(env, t->context, status);
    return begin_places(env, t, width, height);
}

det_status tracking_begin_video(struct det_env *env, struct tracking *t, int32_t width,
                                int32_t height, double frame_rate)
{
    end_source(t);
    return t->on ? begin(env, t, width, height, frame_rate > 0 ? frame_rate : FRAME_RATE) : DET_OK;
}

void tracking_begin_images(struct tracking *t)
{
    end_source(t);
}

bool tracking_begun(const struct tracking *t)
{
    return t->tracker != NULL;
}

det_status tracking_frame(struct det_env *env, struct tracking *t, struct frame *frame)
{
    const det_track *tracks = NULL;
    const int32_t width = frame->image.width, height = frame->image.height;
    size_t count = 0;
    if (t->tracker == NULL) /* the first image: only now is its size known */
        DET_TRY_RETURN(begin(env, t, width, height, FRAME_RATE));
    const double time_s = frame->of_video ? frame->time_s : (double)frame->index / FRAME_RATE;
    det_status status = det_tracker_update(t->tracker, time_s, width, height, frame->found,
                                           frame->count, &tracks, &count);
    if (status == DET_OK)
        status = det_counter_update(t->everywhere, time_s, width, height, tracks, count);
    for (size_t i = 0; i < t->place_count && status == DET_OK; i++)
        status = det_counter_update(t->places[i].counter, time_s, width, height, tracks, count);
    if (status != DET_OK)
        return tool_adopt(env, t->context, status);
    for (size_t i = 0; i < count; i++) {
        frame->found[i] = tracks[i].box;
        frame->track_ids[i] = tracks[i].id;
    }
    frame->count = count;
    return DET_OK;
}

/* --- what was counted --- */

static det_status put_count(struct det_json_writer *json, const struct tracking *t, const char *key,
                            const struct det_counter *counter, bool forward)
{
    det_count all = {.struct_size = sizeof all};
    const det_status status = det_counter_count(counter, 0, &all);
    if (status != DET_OK)
        return tool_adopt(json->env, t->context, status);
    det_json_open_object(json, key);
    det_json_put_int(json, "all", forward ? all.forward : all.backward);
    for (int32_t id = 1; id <= t->filter->count; id++) {
        if (!det_model_class_is_used(t->model, id))
            continue;
        det_count one = {.struct_size = sizeof one};
        const det_status counted = det_counter_count(counter, id, &one);
        if (counted != DET_OK)
            return tool_adopt(json->env, t->context, counted);
        det_json_put_int(json, det_model_class_name(t->model, id),
                         forward ? one.forward : one.backward);
    }
    det_json_close_object(json);
    return DET_OK;
}

det_status tracking_json(struct det_env *env, const struct tracking *t, const char *source,
                         struct det_text *text)
{
    struct det_json_writer json;
    det_json_begin(&json, env, text, DET_JSON_COMPACT);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, "source", source);
    DET_TRY_RETURN(put_count(&json, t, "objects", t->everywhere, true));
    for (size_t i = 0; i < t->place_count; i++) {
        const struct count_place *place = &t->places[i];
        det_json_open_object(&json, place->name);
        DET_TRY_RETURN(
            put_count(&json, t, place->is_line ? "forward" : "entered", place->counter, true));
        DET_TRY_RETURN(
            put_count(&json, t, place->is_line ? "backward" : "left", place->counter, false));
        det_json_close_object(&json);
    }
    det_json_close_object(&json);
    det_json_line(&json, 0);
    return det_json_end(&json);
}

void tracking_free(struct det_env *env, struct tracking *t)
{
    end_source(t);
    for (size_t i = 0; i < t->place_count; i++) {
        det_free(env, &t->places[i].points);
        det_free(env, &t->places[i].shares);
    }
    det_free(env, &t->places);
}
