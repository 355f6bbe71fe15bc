#include "data/sample_source.h"

#include <string.h>

#include "base/arguments.h"
#include "base/crc32c.h"
#include "data/image_view.h"
#include "support/mem.h"

det_status det_source_take(struct det_env *env, const det_sample_source *given,
                           det_sample_source *source)
{
    det_sample_source taken = {0};
    DET_TRY_RETURN(DET_TAKE(env, det_sample_source, &taken, given));
    if (taken.fill == NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "det_sample_source: fill is NULL");
    if (taken.count == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_sample_source: count is 0, expected at least 1");
    *source = taken;
    return DET_OK;
}

det_status det_source_ask(struct det_env *env, const det_sample_source *source, const char *name,
                          size_t index, bool needs_image, det_labelled_sample *sample)
{
    *sample = (det_labelled_sample){.struct_size = sizeof *sample, .needs_image = needs_image};
    const int failed = source->fill(source->user, index, sample);
    if (failed == 0)
        return DET_OK;
    return det_fail(env, DET_STATUS_IO, "%s: the program could not fill it in (%d)%s%.800s", name,
                    failed, sample->error != NULL ? ": " : "",
                    sample->error != NULL ? sample->error : "");
}

void det_source_give_back(const det_sample_source *source, size_t index,
                          det_labelled_sample *sample)
{
    if (source->release != NULL)
        source->release(source->user, index, sample);
}

static bool has_pixels(const det_labelled_sample *sample)
{
    return sample->pixels.pixels != NULL;
}

static det_status check_image(struct det_env *env, const char *name,
                              const det_labelled_sample *sample, bool needs_image)
{
    enum det_image_kind kind;
    if (has_pixels(sample) && sample->encoded != NULL)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: has its image twice, as pixels and encoded", name);
    if (has_pixels(sample)) {
        const det_status status = det_image_view_check(env, &sample->pixels);
        return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "%s", name);
    }
    if (sample->encoded != NULL)
        return det_image_sniff(env, name, sample->encoded, sample->encoded_bytes, &kind);
    if (sample->encoded_bytes > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: encoded is NULL, encoded_bytes %zu",
                        name, sample->encoded_bytes);
    if (needs_image)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: has no image: both pixels.pixels and encoded are NULL", name);
    return DET_OK;
}

det_status det_source_check(struct det_env *env, const char *name,
                            const det_labelled_sample *sample, bool needs_image)
{
    if (sample->objects == NULL && sample->object_count > 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: objects is NULL, object_count %zu",
                        name, sample->object_count);
    if (sample->height_px < 0 || sample->width_px < 0 ||
        (sample->height_px == 0) != (sample->width_px == 0))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: width_px is %d, height_px %d, expected both at least 1, or 0: not "
                        "known",
                        name, sample->width_px, sample->height_px);
    return check_image(env, name, sample, needs_image);
}

struct det_source_size det_source_size(const det_labelled_sample *sample)
{
    if (!has_pixels(sample))
        return (struct det_source_size){sample->height_px, sample->width_px};
    const struct det_window window = det_window_of_view(&sample->pixels);
    return (struct det_source_size){window.height, window.width};
}

/* Object `i`, after those before it: the first one's size is how far they are apart. */
static det_status take_object(struct det_env *env, const char *name,
                              const det_labelled_sample *sample, size_t i,
                              det_annotation_object *taken)
{
    const char *first = (const char *)sample->objects;
    *taken = (det_annotation_object){.weight = 1};
    const det_status status =
        DET_TAKE(env, det_annotation_object, taken, first + i * sample->objects[0].struct_size);
    return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "%s: object %zu", name, i);
}

det_status det_source_checksum(struct det_env *env, const char *name,
                               const det_labelled_sample *sample, uint32_t *crc)
{
    *crc = 0;
    for (size_t i = 0; i < sample->object_count; i++) {
        det_annotation_object o;
        DET_TRY_RETURN(take_object(env, name, sample, i, &o));
        const double numbers[] = {o.box[0], o.box[1], o.box[2], o.box[3], o.area_px2, o.weight};
        const int32_t choices[] = {o.class_id, o.in_pixels, o.difficult, o.group_of, o.is_crowd};
        *crc = det_crc32c(*crc, numbers, sizeof numbers);
        *crc = det_crc32c(*crc, choices, sizeof choices);
        if (o.class_name != NULL)
            *crc = det_crc32c(*crc, o.class_name, strlen(o.class_name) + 1);
    }
    return DET_OK;
}

static det_status make_room(struct det_env *env, size_t count, struct det_example *e)
{
#define ROOM(member) \
    DET_TRY_RETURN(det_alloc(env, &e->member, count, sizeof *e->member, "objects of a sample"))
    ROOM(ymin);
    ROOM(xmin);
    ROOM(ymax);
    ROOM(xmax);
    ROOM(class_text);
    ROOM(class_label);
    ROOM(difficult);
    ROOM(group_of);
    ROOM(is_crowd);
    ROOM(area);
    ROOM(weight);
#undef ROOM
    e->box_count = count;
    return DET_OK;
}

static det_status normalise(struct det_env *env, const char *name,
                            const det_labelled_sample *sample, size_t i, double box[4])
{
    const struct det_source_size size = det_source_size(sample);
    if (size.height_px == 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "%s: object %zu: its box is in pixels, but height_px and width_px of the "
                        "image are 0",
                        name, i);
    for (int c = 0; c < 4; c++)
        box[c] /= c % 2 == 0 ? size.height_px : size.width_px;
    return DET_OK;
}

det_status det_source_example(struct det_env *env, const char *name,
                              const det_labelled_sample *sample, struct det_example *example)
{
    det_status status = DET_OK;
    *example = (struct det_example){0};
    DET_TRY(make_room(env, sample->object_count, example));
    for (size_t i = 0; i < sample->object_count; i++) {
        det_annotation_object o;
        DET_TRY(take_object(env, name, sample, i, &o));
        if (o.in_pixels != 0)
            DET_TRY(normalise(env, name, sample, i, o.box));
        example->ymin[i] = (float)o.box[0];
        example->xmin[i] = (float)o.box[1];
        example->ymax[i] = (float)o.box[2];
        example->xmax[i] = (float)o.box[3];
        if (o.class_name != NULL)
            example->class_text[i] =
                (struct det_bytes){(const uint8_t *)o.class_name, strlen(o.class_name)};
        example->class_label[i] = o.class_id;
        example->area[i] = (float)o.area_px2;
        example->weight[i] = (float)o.weight;
        example->difficult[i] = o.difficult != 0;
        example->group_of[i] = o.group_of != 0;
        example->is_crowd[i] = o.is_crowd != 0;
    }
    return DET_OK;
fail:
    det_example_free(env, example);
    return status;
}

det_status det_source_image(struct det_env *env, const char *name,
                            const det_labelled_sample *sample, struct det_image_least least,
                            struct det_image *image)
{
    if (!has_pixels(sample))
        return det_image_decode_reduced(env, name, sample->encoded, sample->encoded_bytes, least,
                                        image);
    const det_status status = det_image_copy_view(env, &sample->pixels, image);
    return status == DET_OK ? DET_OK : det_fail_prefix(env, status, "%s", name);
}
