#include "convert/resolve.h"

#include <string.h>

#include "data/exif.h"
#include "support/mem.h"

/* What a task found out about one image. */
struct outcome {
    enum det_rule rule;
    char *message; /* NULL: sound */
    enum det_image_kind kind;
    int32_t width_px, height_px; /* as stored in the file */
    int orientation;
    uint64_t hash;
};

struct job {
    const struct det_annotations *set;
    struct outcome *outcomes;
    struct det_env *envs;     /* a worker each */
    struct det_image *images; /* a worker each */
};

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

static uint64_t hash_pixels(const struct det_image *image)
{
    const size_t bytes = (size_t)image->width * (size_t)image->height * 3;
    uint64_t hash = mix((uint64_t)(uint32_t)image->width << 32 | (uint32_t)image->height);
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = 0;
        memcpy(&word, image->rgb + at, bytes - at < 8 ? bytes - at : 8);
        hash = mix(hash ^ word) + 0x9e3779b97f4a7c15U;
    }
    return hash;
}

/* Keeps the env's message for the outcome; without memory for it the rule has to do. */
static void keep(struct det_env *env, struct outcome *out, enum det_rule rule)
{
    char *copy = NULL;
    if (det_strdup(env, &copy, env->error) == DET_OK)
        out->message = copy;
    out->rule = rule;
}

static void look_at(void *argument, int32_t task, int32_t worker)
{
    struct job *job = argument;
    struct det_env *env = &job->envs[worker];
    struct det_image *pixels = &job->images[worker];
    const struct det_labelled_image *image = &job->set->images[task];
    struct outcome *out = &job->outcomes[task];
    struct det_source_bytes source;
    out->rule = DET_RULE_COUNT;
    out->orientation = 1;
    if (image->broken || image->resolved)
        return;
    if (det_image_bytes_open(env, job->set, image, &source) != DET_OK) {
        det_fail_prefix(env, DET_STATUS_IO, "%s", image->where);
        keep(env, out, DET_RULE_IMAGE_MISSING);
        return;
    }
    det_status status = det_image_sniff(env, image->where, source.data, source.bytes, &out->kind);
    if (status != DET_OK) {
        keep(env, out, DET_RULE_IMAGE_FORMAT);
    } else if (det_image_decode(env, image->where, source.data, source.bytes, pixels) != DET_OK) {
        keep(env, out, DET_RULE_IMAGE_CORRUPT);
    } else {
        out->orientation = det_exif_orientation(source.data, source.bytes, NULL);
        out->width_px = pixels->width;
        out->height_px = pixels->height;
        out->hash = hash_pixels(pixels);
    }
    det_source_bytes_close(env, &source);
}

static bool is_in_record(const struct det_labelled_image *image)
{
    return image->path == NULL && image->own == NULL;
}

/* True: the boxes are meant for the turned image. */
static bool is_turned(const struct det_labelled_image *image, const struct outcome *out,
                      det_exif_policy policy)
{
    if (out->orientation == 1 || policy == DET_EXIF_IGNORE)
        return false;
    if (policy == DET_EXIF_APPLY)
        return true;
    if (det_exif_swaps_sides(out->orientation) && out->width_px != out->height_px) {
        if (image->width_px == out->width_px && image->height_px == out->height_px)
            return false;
        if (image->width_px == out->height_px && image->height_px == out->width_px)
            return true;
    }
    return !is_in_record(image); /* which are what TensorFlow reads */
}

static void report_exif(const struct det_labelled_image *image, const struct outcome *out,
                        struct det_findings *findings)
{
    if (out->orientation == 1)
        return;
    if (image->turn != 1 && is_in_record(image))
        det_finding(
            findings, DET_RULE_IMAGE_TURNED,
            "%s: EXIF orientation %d and the size %d x %d of the turned image: the boxes are "
            "for it, but training reads the pixels as stored, %d x %d",
            image->where, out->orientation, image->width_px, image->height_px, out->width_px,
            out->height_px);
    else if (image->turn != 1)
        det_finding(
            findings, DET_RULE_IMAGE_EXIF,
            "%s: EXIF orientation %d: the boxes are taken to be for the turned image, which is "
            "written upright",
            image->where, out->orientation);
    else
        det_finding(
            findings, DET_RULE_IMAGE_EXIF,
            "%s: EXIF orientation %d: the boxes are taken to be for the pixels as stored; viewers "
            "turn them",
            image->where, out->orientation);
}

static void normalise(struct det_annotations *set, const struct det_labelled_image *image)
{
    const double width = image->stored_width_px > 0 ? image->stored_width_px : image->width_px;
    const double height = image->stored_height_px > 0 ? image->stored_height_px : image->height_px;
    for (size_t i = 0; i < image->object_count; i++) {
        struct det_labelled_object *object = &set->objects[image->first_object + i];
        double *box = object->box;
        if (!det_annotations_box_is_px(image, object))
            continue;
        object->frame = DET_BOX_SHARES;
        box[0] /= height;
        box[1] /= width;
        box[2] /= height;
        box[3] /= width;
    }
}

static void settle(struct det_annotations *set, struct det_labelled_image *image,
                   const struct outcome *out, det_exif_policy policy, struct det_findings *findings)
{
    if (image->resolved)
        return;
    findings->at = (struct det_finding_place){image->where, image - set->images + 1, 0, 0};
    if (out->rule != DET_RULE_COUNT) {
        image->broken = true;
        if (out->message != NULL)
            det_finding(findings, out->rule, "%s", out->message);
        else
            det_finding(findings, out->rule, "%s: %s", image->where, det_rule_name(out->rule));
    }
    image->resolved = true;
    if (image->broken)
        return;
    image->kind = out->kind;
    image->orientation = (uint8_t)out->orientation;
    image->pixel_hash = out->hash;
    image->turn = (uint8_t)(is_turned(image, out, policy) ? out->orientation : 1);
    report_exif(image, out, findings);
    const bool swap = det_exif_swaps_sides(image->turn);
    const int32_t width = swap ? out->height_px : out->width_px;
    const int32_t height = swap ? out->width_px : out->height_px;
    image->stored_width_px = image->width_px;
    image->stored_height_px = image->height_px;
    image->width_px = width;
    image->height_px = height;
    if ((image->stored_width_px > 0 && image->stored_width_px != width) ||
        (image->stored_height_px > 0 && image->stored_height_px != height))
        det_finding(findings, DET_RULE_IMAGE_SIZE,
                    "%s: size %d x %d, but the image has %d x %d pixels", image->where,
                    image->stored_width_px, image->stored_height_px, width, height);
    normalise(set, image);
    image->boxes_px = false;
}

det_status det_annotations_resolve(struct det_env *env, struct det_annotations *set,
                                   det_exif_policy exif, struct det_pool *pool,
                                   struct det_findings *findings)
{
    const int workers = det_pool_threads(pool);
    struct job job = {.set = set};
    det_status status = DET_OK;
    if (set->image_count > INT32_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%zu images are too many", set->image_count);
    DET_TRY(det_alloc(env, &job.outcomes, set->image_count, sizeof *job.outcomes, "image checks"));
    DET_TRY(det_alloc(env, &job.envs, (size_t)workers, sizeof *job.envs, "image checks"));
    DET_TRY(det_alloc(env, &job.images, (size_t)workers, sizeof *job.images, "image checks"));
    for (int i = 0; i < workers; i++)
        det_env_fork(&job.envs[i], env);
    det_pool_run(pool, (int32_t)set->image_count, look_at, &job);
    for (size_t i = 0; i < set->image_count; i++)
        settle(set, &set->images[i], &job.outcomes[i], exif, findings);
    findings->at = (struct det_finding_place){0};
fail:
    for (int i = 0; job.images != NULL && i < workers; i++)
        det_image_free(env, &job.images[i]);
    for (size_t i = 0; job.outcomes != NULL && i < set->image_count; i++)
        det_free(env, &job.outcomes[i].message);
    det_free(env, &job.images);
    det_free(env, &job.envs);
    det_free(env, &job.outcomes);
    return status;
}
