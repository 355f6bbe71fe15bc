#include "mosaic.h"

#include <string.h>

#include "support/mem.h"

/* Of a picture, so that no two have a scene in common. */
enum { MOST_CELLS = 4096, JPEG_QUALITY = 90 };

void object_list_free(struct det_env *env, struct object_list *list)
{
    det_free(env, &list->objects);
    *list = (struct object_list){0};
}

static det_status add(struct det_env *env, struct object_list *list,
                      const struct render_object *object)
{
    DET_TRY_RETURN(det_grow(env, &list->objects, &list->capacity, list->count + 1,
                            sizeof *list->objects, "objects"));
    list->objects[list->count++] = *object;
    return DET_OK;
}

det_status object_list_add(struct det_env *env, struct object_list *list,
                           const struct render_frame *frame)
{
    for (int i = 0; i < frame->object_count; i++)
        DET_TRY_RETURN(add(env, list, &frame->objects[i]));
    return DET_OK;
}

/* The cell at half its size with its upper left corner at y, x: the mean of four pixels each. */
static void place(const struct det_image *cell, int32_t y, int32_t x, struct det_image *image)
{
    const size_t row = (size_t)cell->width * 3;
    for (int32_t i = 0; i < cell->height / 2 && y + i < image->height; i++) {
        const uint8_t *from = cell->rgb + 2 * (size_t)i * row;
        uint8_t *to = image->rgb + ((size_t)(y + i) * (size_t)image->width + (size_t)x) * 3;
        for (int32_t j = 0; j < cell->width / 2 && x + j < image->width; j++, from += 6, to += 3)
            for (int c = 0; c < 3; c++)
                to[c] = (uint8_t)((from[c] + from[c + 3] + from[row + (size_t)c] +
                                   from[row + (size_t)c + 3] + 2) /
                                  4);
    }
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static det_status place_objects(struct det_env *env, const struct mosaic *m, int32_t y, int32_t x,
                                const struct det_image *image, struct object_list *list)
{
    const int32_t rows = m->cell.height / 2, columns = m->cell.width / 2;
    const float sides[2] = {(float)rows, (float)columns};
    const float from[2] = {(float)y, (float)x};
    const float whole[2] = {(float)image->height, (float)image->width};
    for (int i = 0; i < m->frame->object_count; i++) {
        struct render_object object = m->frame->objects[i];
        float share = 1;
        for (int axis = 0; axis < 2; axis++) {
            const float low = from[axis] + object.box_norm[axis] * sides[axis];
            const float high = from[axis] + object.box_norm[axis + 2] * sides[axis];
            share *= (least(high, whole[axis]) - least(low, whole[axis])) / (high - low);
            object.box_norm[axis] = least(low / whole[axis], 1);
            object.box_norm[axis + 2] = least(high / whole[axis], 1);
        }
        if (share >= .5F)
            DET_TRY_RETURN(add(env, list, &object));
    }
    return DET_OK;
}

/* Rows of cells from the top to the bottom, each as high as its highest one. */
det_status mosaic_draw(struct det_env *env, struct mosaic *m, uint64_t seed, uint64_t index,
                       int32_t width, int32_t height, struct det_image *image,
                       struct object_list *list)
{
    uint64_t cell = index * MOST_CELLS;
    DET_TRY_RETURN(det_image_resize_buffer(env, image, width, height));
    memset(image->rgb, 0, (size_t)width * (size_t)height * 3);
    for (int32_t y = 0, row = 0; y < height; y += row) {
        row = 0;
        for (int32_t x = 0; x < width; x += m->cell.width / 2) {
            scene_random(m->scene, seed, cell++);
            DET_TRY_RETURN(renderer_draw(env, m->renderer, m->scene, 0, &m->cell, m->frame));
            place(&m->cell, y, x, image);
            DET_TRY_RETURN(place_objects(env, m, y, x, image, list));
            if (m->cell.height / 2 > row)
                row = m->cell.height / 2;
        }
    }
    m->scene->finish.jpeg_quality = JPEG_QUALITY; /* not that of the last cell */
    return DET_OK;
}
