#include "support/image.h"

#include <string.h>

#include "support/mem.h"

/* Behind the pixels, not counted as room: the tools hand them to FFmpeg's scaler, which reads whole
 * vectors. */
#define SLACK_BYTES 64

det_status det_image_resize_buffer(struct det_env *env, struct det_image *image, int32_t width,
                                   int32_t height)
{
    if (width < 1 || height < 1 || width > DET_IMAGE_MOST_SIDE || height > DET_IMAGE_MOST_SIDE)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "image of %d x %d pixels: each side must be 1 to %d", width, height,
                        DET_IMAGE_MOST_SIDE);
    const size_t need = (size_t)width * (size_t)height * 3;
    const size_t present = (size_t)image->width * (size_t)image->height * 3;
    const size_t room = image->capacity_bytes > present ? image->capacity_bytes : present;
    if (image->rgb == NULL || need > room) {
        det_image_free(env, image);
        DET_TRY_RETURN(det_alloc_raw(env, &image->rgb, need + SLACK_BYTES, 1, "image"));
        memset(image->rgb + need, 0, SLACK_BYTES); /* read, whatever comes of it */
        image->capacity_bytes = need;
    }
    image->width = width;
    image->height = height;
    image->file_width = width;
    image->file_height = height;
    return DET_OK;
}

void det_image_free(struct det_env *env, struct det_image *image)
{
    det_free(env, &image->rgb);
    *image = (struct det_image){0};
}

bool det_exif_swaps_sides(int orientation)
{
    return orientation >= 5;
}

void det_exif_turn_into(const struct det_image *from, int orientation, struct det_image *to)
{
    /* 2: mirrored, 3: half a turn, 4: flipped; 5 to 8: the same after exchanging the axes */
    const bool swap = det_exif_swaps_sides(orientation);
    const bool mirror_x =
        orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    const bool mirror_y =
        orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
    const ptrdiff_t row = (ptrdiff_t)from->width * 3;
    const ptrdiff_t step_x = mirror_x ? -3 : 3, step_y = mirror_y ? -row : row;
    const ptrdiff_t right = swap ? step_y : step_x, down = swap ? step_x : step_y;
    /* Where the upright picture's first pixel comes from. */
    const uint8_t *line =
        from->rgb + (mirror_x ? row - 3 : 0) + (mirror_y ? (ptrdiff_t)(from->height - 1) * row : 0);
    uint8_t *pixel = to->rgb;
    for (int32_t y = 0; y < to->height; y++, line += down) {
        ptrdiff_t at = 0;
        for (int32_t x = 0; x < to->width; x++, at += right, pixel += 3) {
            pixel[0] = line[at];
            pixel[1] = line[at + 1];
            pixel[2] = line[at + 2];
        }
    }
}

det_status det_exif_turn(struct det_env *env, struct det_image *image, int orientation)
{
    if (orientation < 2 || orientation > 8)
        return DET_OK;
    const bool swap = det_exif_swaps_sides(orientation);
    struct det_image turned = {0};
    DET_TRY_RETURN(det_image_resize_buffer(env, &turned, swap ? image->height : image->width,
                                           swap ? image->width : image->height));
    turned.file_width = swap ? image->file_height : image->file_width;
    turned.file_height = swap ? image->file_width : image->file_height;
    det_exif_turn_into(image, orientation, &turned);
    det_image_free(env, image);
    *image = turned;
    return DET_OK;
}
