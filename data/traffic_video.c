#include "traffic_video.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "raster.h"
#include "render.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/text.h"
#include "video/video.h"

enum {
    LAPS = 64,            /* how often a vehicle may come by as another one */
    MOST_SCENES = 1000000 /* one in some hundred is suitable */
};

struct shooting {
    const struct video_options *options;
    struct video_summary *summary;
    struct renderer *renderer;
    struct scene *scene;
    struct render_frame *frame;
    struct det_image image;
    struct video_writer *writer;
    struct det_text images, annotations;
    float (*lower_edge)
        [SCENE_MAX_VEHICLES]; /* [LAPS] of each vehicle in the frame before; < 0: never seen */
};

/* Where an edge of the road crosses a row of the image (a share of its height from the top), as a
 * share of the width. */
static float edge_at_row(const struct scene *s, float edge, float row)
{
    struct raster view;
    const float here[3] = {edge, 0, 0}, on[3] = {edge, 1, 0};
    float a[3], b[3];
    raster_look(&view, s->camera.position, s->camera.yaw, s->camera.pitch, s->camera.roll);
    raster_to_camera(&view, here, a);
    raster_to_camera(&view, on, b);
    const float slope = (0.5F - row) * (float)s->height / s->camera.focal_px;
    const float along =
        (slope * a[2] - a[1]) / ((b[1] - a[1]) - slope * (b[2] - a[2])); /* metres of road */
    const float right = a[0] + along * (b[0] - a[0]), depth = a[2] + along * (b[2] - a[2]);
    return 0.5F + s->camera.focal_px * right / depth / (float)s->width;
}

/* Who passes the line is in the picture as a whole then, and for a while before. */
static bool line_spans_road(const struct scene *s)
{
    for (int below = 0; below < 2; below++) {
        const float row = below ? VIDEO_LINE + 0.1F : VIDEO_LINE;
        if (edge_at_row(s, s->road.left, row) < 0 || edge_at_row(s, s->road.right, row) > 1)
            return false;
    }
    return true;
}

/* What a camera that counts traffic sees: by day, several lanes each way, from above the road, and
 * enough to count that is not too fast for a camera of few frames a second. */
static bool is_suitable(const struct scene *s)
{
    for (int i = 0; i < s->vehicle_count; i++)
        if (fabsf(s->vehicles[i].speed) > 17)
            return false;
    return s->road.lanes_out >= 2 && s->road.lanes_in >= 2 && s->vehicle_count >= 24 &&
           s->camera.position[2] > 6 && fabsf(s->camera.yaw) < 0.15F &&
           s->camera.position[0] > s->road.left && s->camera.position[0] < s->road.right &&
           (s->light.kind == LIGHT_NOON || s->light.kind == LIGHT_OVERCAST) && line_spans_road(s);
}

static void set_size(struct scene *s, int32_t width, int32_t height)
{
    const int before = s->width > s->height ? s->width : s->height;
    const int longer = width > height ? width : height;
    s->camera.focal_px *= (float)longer / (float)before;
    s->width = width;
    s->height = height;
    s->detail = (float)longer / 480;
}

static det_status choose_scene(struct det_env *env, struct shooting *v)
{
    const struct video_options *o = v->options;
    struct scene *s = v->scene;
    uint64_t index = 0;
    do {
        if (index == MOST_SCENES)
            return det_fail(env, DET_STATUS_NOT_FOUND,
                            "seed %llu: none of %d scenes is one for a traffic camera",
                            (unsigned long long)o->seed, MOST_SCENES);
        scene_random(s, o->seed, index++ | UINT64_C(1) << 36);
        set_size(s, o->width, o->height);
    } while (!is_suitable(s));
    s->finish.motion_px = 0;
    return DET_OK;
}

static det_status open_writer(struct det_env *env, struct shooting *v)
{
    const struct video_options *o = v->options;
    const struct video_writer_settings settings = {.path = o->path,
                                                   .width = o->width,
                                                   .height = o->height,
                                                   .frame_rate = o->frame_rate,
                                                   .time_base = {1, 90000},
                                                   .pixel_shape = {1, 1},
                                                   .tone = true};
    return video_writer_open(env, &settings, &v->writer);
}

static void count_passing(struct shooting *v, const struct render_object *object, int lap)
{
    const int class_index = (int)object->class_index + 1;
    float *before = &v->lower_edge[lap][object->vehicle];
    const float now = object->box_norm[2];
    if (*before < 0)
        v->summary->vehicles++;
    if (*before >= 0 && *before < VIDEO_LINE && now >= VIDEO_LINE) {
        v->summary->forward[0]++;
        v->summary->forward[class_index]++;
    }
    if (*before > VIDEO_LINE && now <= VIDEO_LINE) {
        v->summary->backward[0]++;
        v->summary->backward[class_index]++;
    }
    *before = now;
}

static det_status note_objects(struct det_env *env, struct shooting *v, int64_t index, double time)
{
    const double w = v->image.width, h = v->image.height;
    char n[5][32];
    DET_TRY_RETURN(det_text_printf(env, &v->images,
                                   "%s\n{\"id\": %lld, \"width\": %d, \"height\": %d, "
                                   "\"file_name\": \"frame_%06lld.jpg\"}",
                                   index > 0 ? "," : "", (long long)index + 1, v->image.width,
                                   v->image.height, (long long)index));
    for (int i = 0; i < v->frame->object_count; i++) {
        const struct render_object *object = &v->frame->objects[i];
        const int lap = scene_vehicle_lap(v->scene, object->vehicle, time) % LAPS;
        const float *b = object->box_norm;
        const double width = (double)(b[3] - b[1]) * w, height = (double)(b[2] - b[0]) * h;
        count_passing(v, object, lap);
        DET_TRY_RETURN(det_text_printf(
            env, &v->annotations,
            "%s\n{\"id\": %lld, \"image_id\": %lld, \"category_id\": %d, \"track_id\": %d, "
            "\"bbox\": [%s, %s, %s, %s], \"area\": %s, \"iscrowd\": 0}",
            v->summary->boxes > 0 ? "," : "", (long long)v->summary->boxes + 1,
            (long long)index + 1, (int)object->class_index + 1,
            lap * SCENE_MAX_VEHICLES + object->vehicle + 1,
            det_format_double(n[0], (double)b[1] * w), det_format_double(n[1], (double)b[0] * h),
            det_format_double(n[2], width), det_format_double(n[3], height),
            det_format_double(n[4], width * height)));
        v->summary->boxes++;
    }
    return DET_OK;
}

static det_status append_counts(struct det_env *env, struct det_text *text, const char *name,
                                const int64_t counts[4])
{
    DET_TRY_RETURN(
        det_text_printf(env, text, "\"%s\": {\"all\": %lld", name, (long long)counts[0]));
    for (int i = 0; i < VEHICLE_CLASSES; i++)
        DET_TRY_RETURN(det_text_printf(env, text, ", \"%s\": %lld", vehicle_class_names[i],
                                       (long long)counts[i + 1]));
    return det_text_append(env, text, "}", 1);
}

static det_status write_truth(struct det_env *env, struct shooting *v)
{
    const char *path = v->options->path, *dot = strrchr(det_path_name(path), '.');
    const int stem = dot != NULL ? (int)(dot - path) : (int)strlen(path);
    struct det_text text = {0};
    char *name = NULL, line[32];
    det_status status = DET_OK;
    DET_TRY(det_format(env, &name, "%.*s.truth.json", stem, path));
    DET_TRY(det_text_printf(env, &text, "{\"counts\": {\"line\": [0, %s, 1, %s], ",
                            det_format_double(line, (double)VIDEO_LINE), line));
    DET_TRY(append_counts(env, &text, "forward", v->summary->forward));
    DET_TRY(det_text_printf(env, &text, ", "));
    DET_TRY(append_counts(env, &text, "backward", v->summary->backward));
    DET_TRY(det_text_printf(env, &text, "},\n\"categories\": ["));
    for (int i = 0; i < VEHICLE_CLASSES; i++)
        DET_TRY(det_text_printf(env, &text, "%s{\"id\": %d, \"name\": \"%s\"}", i > 0 ? ", " : "",
                                i + 1, vehicle_class_names[i]));
    DET_TRY(det_text_printf(env, &text, "],\n\"images\": ["));
    DET_TRY(det_text_append(env, &text, v->images.data, v->images.length));
    DET_TRY(det_text_printf(env, &text, "],\n\"annotations\": ["));
    if (v->annotations.length > 0)
        DET_TRY(det_text_append(env, &text, v->annotations.data, v->annotations.length));
    DET_TRY(det_text_printf(env, &text, "]}\n"));
    DET_TRY(det_write_file(env, name, text.data, text.length));
fail:
    det_text_free(env, &text);
    det_free(env, &name);
    return status;
}

static det_status shoot(struct det_env *env, struct shooting *v)
{
    const double rate = v->options->frame_rate;
    const int64_t frames = (int64_t)llround(v->options->seconds * rate);
    for (int64_t i = 0; i < frames; i++) {
        const double time = (double)i / rate;
        DET_TRY_RETURN(renderer_draw(env, v->renderer, v->scene, time, &v->image, v->frame));
        DET_TRY_RETURN(note_objects(env, v, i, time));
        DET_TRY_RETURN(video_writer_frame(env, v->writer, &v->image, llround(time * 90000)));
        v->summary->frames++;
    }
    return DET_OK;
}

det_status video_write(struct det_env *env, const struct video_options *options,
                       struct video_summary *summary)
{
    struct shooting v = {.options = options, .summary = summary};
    det_status status = DET_OK;
    memset(summary, 0, sizeof *summary);
    DET_TRY(det_alloc(env, &v.scene, 1, sizeof *v.scene, "scene"));
    DET_TRY(det_alloc(env, &v.frame, 1, sizeof *v.frame, "frame"));
    DET_TRY(det_alloc(env, &v.lower_edge, LAPS, sizeof *v.lower_edge, "tracks"));
    for (int lap = 0; lap < LAPS; lap++)
        for (int i = 0; i < SCENE_MAX_VEHICLES; i++)
            v.lower_edge[lap][i] = -1;
    DET_TRY(renderer_create(env, &v.renderer));
    renderer_hold_background(v.renderer);
    DET_TRY(choose_scene(env, &v));
    DET_TRY(open_writer(env, &v));
    DET_TRY(shoot(env, &v));
    DET_TRY(video_writer_close(env, &v.writer));
    DET_TRY(write_truth(env, &v));
fail:
    if (v.writer != NULL) {
        struct det_env first = *env; /* the first failure is the one to tell */
        video_writer_close(env, &v.writer);
        det_env_adopt_error(env, &first);
    }
    renderer_destroy(env, &v.renderer);
    det_image_free(env, &v.image);
    det_text_free(env, &v.images);
    det_text_free(env, &v.annotations);
    det_free(env, &v.lower_edge);
    det_free(env, &v.frame);
    det_free(env, &v.scene);
    return status;
}
