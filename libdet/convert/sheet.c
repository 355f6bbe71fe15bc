#include "convert/sheet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "convert/tile.h"
#include "draw/labels.h"
#include "support/mem.h"

enum { CAPTION_PX = 18, GAP_PX = 6, MOST_SIDE = 65500 };

struct drawing {
    const struct det_annotations *set;
    const struct det_sheet_settings *settings;
    struct det_image *sheet;
    struct det_sample sample;
    struct det_resizer resizer;
    float *pixels;
    size_t pixel_capacity;
    struct det_image cell;
};

static det_status load_sample(struct det_env *env, struct drawing *d,
                              const struct det_labelled_image *image)
{
    struct det_sample *sample = &d->sample;
    DET_TRY_RETURN(det_labelled_image_load(env, d->set, image, &sample->image));
    struct det_ground_truth *truth = &sample->truth;
    if (image->object_count > INT32_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%s: too many objects", image->where);
    DET_TRY_RETURN(det_ground_truth_reserve(env, truth, (int32_t)image->object_count));
    truth->count = 0;
    for (size_t i = 0; i < image->object_count; i++) {
        const struct det_labelled_object *object = &d->set->objects[image->first_object + i];
        const int32_t at = truth->count;
        bool usable = object->class_index >= 0;
        for (int c = 0; c < 4; c++) {
            usable &= isfinite(object->box[c]);
            truth->boxes[at][c] = (float)object->box[c];
        }
        truth->class_index[at] = object->class_index;
        truth->weight[at] = 1;
        truth->area_px[at] = 0;
        truth->is_crowd[at] = truth->difficult[at] = truth->group_of[at] = 0;
        truth->count += usable;
    }
    det_sample_reset(sample);
    return DET_OK;
}

/* The sample as a picture that fits into the cell. */
static det_status render(struct det_env *env, struct drawing *d)
{
    const struct det_window *seen = &d->sample.window;
    const double scale = fmin((double)d->settings->cell_px / seen->width,
                              (double)d->settings->cell_px / seen->height);
    const int32_t width = (int32_t)fmax(1, seen->width * scale);
    const int32_t height = (int32_t)fmax(1, seen->height * scale);
    const size_t values = (size_t)width * (size_t)height * 3;
    DET_TRY_RETURN(
        det_grow(env, &d->pixels, &d->pixel_capacity, values, sizeof *d->pixels, "picture"));
    DET_TRY_RETURN(det_sample_resize(env, &d->resizer, &d->sample, d->pixels, (size_t)width * 3,
                                     height, width));
    DET_TRY_RETURN(det_image_resize_buffer(env, &d->cell, width, height));
    for (size_t i = 0; i < values; i++)
        d->cell.rgb[i] = (uint8_t)fminf(fmaxf(d->pixels[i] + .5F, 0), 255);
    const struct det_ground_truth *truth = &d->sample.truth;
    det_draw_ground_truth(det_surface_of(&d->cell), (const float(*)[4])truth->boxes,
                          truth->class_index, (size_t)truth->count,
                          (const char *const *)d->set->classes.paths);
    return DET_OK;
}

static void place(struct drawing *d, size_t position, const struct det_labelled_image *image)
{
    static const det_rgb ink = {60, 60, 60};
    const int32_t pitch = d->settings->cell_px + GAP_PX;
    const int32_t row = (int32_t)(position / (size_t)d->settings->columns);
    const int32_t column = (int32_t)(position % (size_t)d->settings->columns);
    const int32_t x0 = GAP_PX + column * pitch, y0 = GAP_PX + row * (pitch + CAPTION_PX);
    const int32_t x = x0 + (d->settings->cell_px - d->cell.width) / 2;
    const int32_t y = y0 + (d->settings->cell_px - d->cell.height) / 2;
    for (int32_t line = 0; line < d->cell.height; line++)
        memcpy(d->sheet->rgb + ((size_t)(y + line) * (size_t)d->sheet->width + (size_t)x) * 3,
               d->cell.rgb + (size_t)line * (size_t)d->cell.width * 3, (size_t)d->cell.width * 3);
    char caption[128];
    const char *name = image->name != NULL ? det_path_name(image->name) : image->where;
    snprintf(caption, sizeof caption, "%.60s  %s", name, d->set->splits.paths[image->split]);
    /* As much of it as the cell is wide. */
    for (size_t length = strlen(caption);
         length > 1 && det_text_width_px(caption, CAPTION_PX - 5) > (float)d->settings->cell_px;)
        caption[--length] = '\0';
    det_draw_text(det_surface_of(d->sheet), (float)x0, (float)(y0 + d->settings->cell_px + 2),
                  CAPTION_PX - 5, ink, caption);
}

/* The chosen images, in their order: each of the usable ones is taken with the chance that is
 * left. */
static size_t choose(const struct det_annotations *set, size_t wanted, uint64_t seed,
                     uint32_t *chosen)
{
    size_t usable = 0, taken = 0;
    struct det_rng rng;
    det_rng_init(&rng, seed, 0, 0);
    for (size_t i = 0; i < set->image_count; i++)
        usable += !set->images[i].broken;
    if (wanted > usable)
        wanted = usable;
    for (size_t i = 0; i < set->image_count && taken < wanted; i++) {
        if (set->images[i].broken)
            continue;
        if (det_rng_uniform_double(&rng) * (double)usable < (double)(wanted - taken))
            chosen[taken++] = (uint32_t)i;
        usable--;
    }
    return taken;
}

static det_status draw(struct det_env *env, struct drawing *d, const uint32_t *chosen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct det_labelled_image *image = &d->set->images[chosen[i]];
        struct det_rng rng;
        det_rng_init(&rng, d->settings->seed, chosen[i], 1);
        DET_TRY_RETURN(load_sample(env, d, image));
        DET_TRY_RETURN(det_augment_apply(env, d->settings->augmentations,
                                         d->settings->augmentation_count, &rng, &d->sample));
        DET_TRY_RETURN(render(env, d));
        place(d, i, image);
    }
    return DET_OK;
}

det_status det_annotations_sheet(struct det_env *env, const struct det_annotations *set,
                                 const struct det_sheet_settings *settings, struct det_image *sheet)
{
    struct drawing d = {.set = set, .settings = settings, .sheet = sheet};
    uint32_t *chosen = NULL;
    det_status status = DET_OK;
    *sheet = (struct det_image){0};
    DET_TRY(det_alloc(env, &chosen, set->image_count, sizeof *chosen, "choice"));
    const size_t count = choose(set, settings->count, settings->seed, chosen);
    if (count == 0)
        DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT, "there is no picture to show"));
    const size_t columns = (size_t)settings->columns, rows = (count + columns - 1) / columns;
    const size_t pitch = (size_t)settings->cell_px + GAP_PX;
    const size_t width = GAP_PX + columns * pitch, height = GAP_PX + rows * (pitch + CAPTION_PX);
    if (width > MOST_SIDE || height > MOST_SIDE)
        DET_TRY(det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                         "a sheet of %zu x %zu pixels is too large: fewer or smaller pictures",
                         width, height));
    DET_TRY(det_image_resize_buffer(env, sheet, (int32_t)width, (int32_t)height));
    memset(sheet->rgb, 245, width * height * 3);
    DET_TRY(draw(env, &d, chosen, count));
fail:
    if (status != DET_OK)
        det_image_free(env, sheet);
    det_image_free(env, &d.cell);
    det_sample_free(env, &d.sample);
    det_resizer_free(env, &d.resizer);
    det_free(env, &d.pixels);
    det_free(env, &chosen);
    return status;
}
