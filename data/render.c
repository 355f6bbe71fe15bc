#include "render.h"

#include <math.h>
#include <string.h>

#include "render_parts.h"
#include "scalar.h"
#include "support/mem.h"

struct renderer {
    struct raster raster;
    size_t sample_capacity;
    bool hold, held;
    struct raster_sample *still; /* background and the shadows on it, when held */
    uint8_t *still_shadows;
    float *planes;
    struct mesh mesh;
    struct body_glows glows;
    struct raster_outline outlines[SCENE_MAX_VEHICLES];
    bool drawn[SCENE_MAX_VEHICLES];
};

static void release_buffers(struct det_env *env, struct renderer *r)
{
    det_free(env, &r->raster.samples);
    det_free(env, &r->raster.owner);
    det_free(env, &r->raster.stamp);
    det_free(env, &r->raster.shadows);
    det_free(env, &r->planes);
    det_free(env, &r->still);
    det_free(env, &r->still_shadows);
    r->held = false;
    r->sample_capacity = 0;
}

void renderer_destroy(struct det_env *env, struct renderer **renderer)
{
    if (*renderer == NULL)
        return;
    release_buffers(env, *renderer);
    det_free(env, &(*renderer)->mesh.faces);
    det_free(env, renderer);
}

det_status renderer_create(struct det_env *env, struct renderer **renderer)
{
    det_status status;
    *renderer = NULL;
    DET_TRY(det_alloc(env, renderer, 1, sizeof **renderer, "renderer"));
    struct mesh *mesh = &(*renderer)->mesh;
    DET_TRY(det_alloc(env, &mesh->faces, VEHICLE_MAX_FACES + 1, sizeof *mesh->faces, "faces"));
    mesh->capacity = VEHICLE_MAX_FACES;
    return DET_OK;
fail:
    renderer_destroy(env, renderer);
    return status;
}

static det_status reserve(struct det_env *env, struct renderer *r, const struct scene *scene)
{
    det_status status;
    const size_t pixels = (size_t)scene->width * (size_t)scene->height;
    const size_t samples = pixels * RASTER_SAMPLES * RASTER_SAMPLES;
    struct raster *raster = &r->raster;
    if (samples > r->sample_capacity) {
        release_buffers(env, r);
        DET_TRY(det_alloc(env, &raster->samples, samples, sizeof *raster->samples, "samples"));
        DET_TRY(det_alloc(env, &raster->owner, samples, sizeof *raster->owner, "owners"));
        DET_TRY(det_alloc(env, &raster->stamp, samples, sizeof *raster->stamp, "stamps"));
        DET_TRY(det_alloc(env, &raster->shadows, samples, 1, "shadows"));
        DET_TRY(det_alloc(env, &r->planes, pixels * 6, sizeof *r->planes, "planes"));
        if (r->hold) {
            DET_TRY(det_alloc(env, &r->still, samples, sizeof *r->still, "still samples"));
            DET_TRY(det_alloc(env, &r->still_shadows, samples, 1, "still shadows"));
        }
        r->sample_capacity = samples;
    }
    raster->width = scene->width * RASTER_SAMPLES;
    raster->height = scene->height * RASTER_SAMPLES;
    raster->focal = scene->camera.focal_px * (float)RASTER_SAMPLES;
    raster->centre_x = 0.5F * (float)raster->width;
    raster->centre_y = 0.5F * (float)raster->height;
    raster_look(raster, scene->camera.position, scene->camera.yaw, scene->camera.pitch,
                scene->camera.roll);
    raster_clear(raster);
    return DET_OK;
fail:
    release_buffers(env, r);
    return status;
}

/* Bounds of the body's corners in the image tell whether it is worth drawing: in front of the
 * camera, in the image and at least 28 pixels, since what is drawn should be labelled. */
static bool worth_drawing(const struct scene *scene, const struct raster *raster, int vehicle,
                          struct vehicle_pose pose)
{
    const struct vehicle_shape *shape = &scene->vehicles[vehicle].shape;
    float left = 1e9F, right = -1e9F, top = 1e9F, bottom = -1e9F;
    for (int i = 0; i < 8; i++) {
        const float x = (i & 1 ? 0.5F : -0.5F) * shape->length,
                    y = (i & 2 ? 0.5F : -0.5F) * shape->width;
        const float world[3] = {pose.x + pose.heading_x * x - pose.heading_y * y,
                                pose.y + pose.heading_y * x + pose.heading_x * y,
                                i & 4 ? shape->height : 0};
        float p[3];
        raster_to_camera(raster, world, p);
        if (p[2] < 4.5F)
            return false;
        const float sx = raster->centre_x + raster->focal * p[0] / p[2];
        const float sy = raster->centre_y - raster->focal * p[1] / p[2];
        left = minf(left, sx);
        right = maxf(right, sx);
        top = minf(top, sy);
        bottom = maxf(bottom, sy);
    }
    const float smallest = 28 * (float)RASTER_SAMPLES * scene->detail;
    return right > 0 && left < (float)raster->width && bottom > 0 && top < (float)raster->height &&
           right - left >= smallest && bottom - top >= smallest;
}

static void apply_shadows(const struct scene *scene, struct raster *raster)
{
    const struct scene_light *light = &scene->light;
    float factor[8][3];
    for (int bits = 0; bits < 8; bits++)
        for (int c = 0; c < 3; c++) {
            const float sun = light->sun[c] * light->to_sun[2];
            float f = bits & RASTER_SHADOW_SUN ? light->ambient[c] / (light->ambient[c] + sun) : 1;
            f *= bits & RASTER_SHADOW_NEAR ? 0.72F : 1;
            f *= bits & RASTER_SHADOW_UNDER ? 0.35F : 1;
            factor[bits][c] = f;
        }
    const size_t count = (size_t)raster->width * (size_t)raster->height;
    for (size_t i = 0; i < count; i++) {
        const float *f = factor[raster->shadows[i] & 7];
        if (raster->shadows[i] != 0)
            for (int c = 0; c < 3; c++)
                raster->samples[i].rgb[c] *= f[c];
    }
}

static void collect_objects(const struct scene *scene, const struct renderer *r,
                            struct render_frame *frame)
{
    int visible[SCENE_MAX_VEHICLES + 1] = {0};
    const struct raster *raster = &r->raster;
    const size_t count = (size_t)raster->width * (size_t)raster->height;
    for (size_t i = 0; i < count; i++)
        visible[raster->owner[i]]++;
    const float width = (float)raster->width, height = (float)raster->height;
    const float smallest = 12 * (float)RASTER_SAMPLES * scene->detail;
    frame->object_count = 0;
    for (int i = 0; i < scene->vehicle_count; i++) {
        const struct raster_outline *o = &r->outlines[i];
        if (!r->drawn[i] || o->behind_camera || o->area == 0)
            continue;
        const float left = clampf(o->left, 0, width), right = clampf(o->right, 0, width);
        const float top = clampf(o->top, 0, height), bottom = clampf(o->bottom, 0, height);
        const float inside = (right - left) * (bottom - top);
        const float whole = (o->right - o->left) * (o->bottom - o->top);
        const float shown = (float)visible[i + 1] / (float)o->area;
        if (right - left < smallest || bottom - top < smallest || shown < 0.2F ||
            (inside < 0.25F * whole &&
             minf(right - left, bottom - top) < 28 * (float)RASTER_SAMPLES * scene->detail))
            continue;
        frame->objects[frame->object_count++] =
            (struct render_object){scene->vehicles[i].shape.class_index,
                                   i,
                                   {top / height, left / width, bottom / height, right / width},
                                   shown};
    }
}

void renderer_hold_background(struct renderer *renderer)
{
    renderer->hold = true;
}

static void draw_still(const struct scene *scene, struct renderer *r)
{
    struct raster *raster = &r->raster;
    const size_t samples = (size_t)raster->width * (size_t)raster->height;
    if (r->held) {
        memcpy(raster->samples, r->still, samples * sizeof *r->still);
        memcpy(raster->shadows, r->still_shadows, samples);
        return;
    }
    background_draw(scene, raster);
    props_shadow(scene, raster, &r->mesh);
    if (!r->hold)
        return;
    memcpy(r->still, raster->samples, samples * sizeof *r->still);
    memcpy(r->still_shadows, raster->shadows, samples);
    r->held = true;
}

det_status renderer_draw(struct det_env *env, struct renderer *r, const struct scene *scene,
                         double time, struct det_image *image, struct render_frame *frame)
{
    frame->object_count = 0;
    DET_TRY_RETURN(det_image_resize_buffer(env, image, scene->width, scene->height));
    DET_TRY_RETURN(reserve(env, r, scene));
    struct raster *raster = &r->raster;
    struct vehicle_pose poses[SCENE_MAX_VEHICLES];
    r->glows.count = 0;
    draw_still(scene, r);
    for (int i = 0; i < scene->vehicle_count; i++) {
        poses[i] = scene_vehicle_pose(scene, i, time);
        r->drawn[i] = worth_drawing(scene, raster, i, poses[i]);
        if (!r->drawn[i])
            continue;
        const struct vehicle_shape *shape = &scene->vehicles[i].shape;
        vehicle_build(shape, &r->mesh);
        body_shadow(scene, raster, &r->mesh, poses[i]);
        body_contact_shadow(raster, shape->length, shape->width, poses[i]);
    }
    apply_shadows(scene, raster);
    props_draw(scene, raster, &r->mesh, &r->glows);
    for (int i = 0; i < scene->vehicle_count; i++) {
        r->outlines[i] = (struct raster_outline){1e9F, 1e9F, -1e9F, -1e9F, 0, false};
        if (!r->drawn[i])
            continue;
        vehicle_build(&scene->vehicles[i].shape, &r->mesh);
        body_draw(scene, raster, &r->mesh, poses[i], (uint16_t)(i + 1), &r->outlines[i], &r->glows);
    }
    collect_objects(scene, r, frame);
    finish_resolve(scene, raster, r->planes);
    finish_glows(scene, raster, &r->glows, r->planes);
    finish_image(scene, time, r->planes, image->rgb);
    return DET_OK;
}
