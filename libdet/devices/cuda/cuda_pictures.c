#include "devices/cuda/cuda_pictures.h"

#include <string.h>

#include "support/mem.h"

/* Bytes of a pixel and what the kernel calls the format. */
struct format {
    size_t bytes;
    enum detk_pixels pixels;
};

static struct format format_of(det_pixel_format format)
{
    switch (format) {
    case DET_PIXEL_RGB8:
        break;
    case DET_PIXEL_BGR8:
        return (struct format){3, DETK_BGR8};
    case DET_PIXEL_GRAY8:
        return (struct format){1, DETK_GRAY8};
    case DET_PIXEL_RGBA8:
        return (struct format){4, DETK_RGBA8};
    case DET_PIXEL_BGRA8:
        return (struct format){4, DETK_BGRA8};
    case DET_PIXEL_NV12:
    case DET_PIXEL_I420:
    case DET_PIXEL_YUYV:
        break; /* the host makes RGB of them */
    }
    return (struct format){3, DETK_RGB8};
}

det_status det_cuda_pictures_create(struct det_env *env, const struct det_device *device,
                                    int32_t batch, struct detk_image *images,
                                    struct det_cuda_pictures *p)
{
    static const uint8_t black[3] = {0};
    const det_image_view view = {.pixels = black, .width = 1, .height = 1};
    const struct det_frame frame = {.height = 1, .width = 1, .window = {0, 0, 1, 1}};
    *p = (struct det_cuda_pictures){.batch = batch, .images = images};
    DET_TRY_RETURN(det_alloc(env, &p->pictures, (size_t)batch, sizeof *p->pictures, "pictures"));
    for (int32_t i = 0; i < batch; i++)
        DET_TRY_RETURN(det_cuda_pictures_set(env, device, p, i, &view, &frame));
    return DET_OK;
}

void det_cuda_pictures_destroy(struct det_env *env, struct det_cuda_pictures *p)
{
    for (int32_t i = 0; p->pictures != NULL && i < p->batch; i++) {
        det_cuda_block_destroy(&p->pictures[i].pinned);
        det_cuda_block_destroy(&p->pictures[i].device);
    }
    det_free(env, &p->pictures);
}

/* Half as much again as is asked for, so that slowly growing pictures do not move each time. */
static det_status make_room(struct det_env *env, struct det_cuda_block *block,
                            enum det_cuda_place place, size_t bytes)
{
    if (bytes <= block->bytes)
        return DET_OK;
    struct det_cuda_block larger;
    DET_TRY_RETURN(det_cuda_block_create(env, place, bytes + bytes / 2, "a picture", &larger));
    det_cuda_block_destroy(block);
    *block = larger;
    return DET_OK;
}

det_status det_cuda_pictures_set(struct det_env *env, const struct det_device *device,
                                 struct det_cuda_pictures *p, int32_t index,
                                 const det_image_view *view, const struct det_frame *frame)
{
    struct det_cuda_picture *picture = &p->pictures[index];
    const struct format format = format_of(view->format);
    const struct det_pixels pixels = det_pixels_of_view(view);
    const struct det_window window = det_window_of_view(view);
    const size_t row = (size_t)window.width * format.bytes, bytes = row * (size_t)window.height;
    if (picture->under_way)
        DET_TRY_RETURN(det_cuda_input_wait(env, device));
    DET_TRY_RETURN(make_room(env, &picture->pinned, DET_CUDA_PINNED, bytes));
    DET_TRY_RETURN(make_room(env, &picture->device, DET_CUDA_DEVICE, bytes));
    for (int32_t y = 0; y < window.height; y++) {
        uint8_t *to = picture->pinned.at + (size_t)y * row;
        if (pixels.yuv != NULL)
            det_pixels_row(&pixels, window.y + y, window.x, window.width, to);
        else
            memcpy(to,
                   pixels.first + (window.y + y) * pixels.stride +
                       (ptrdiff_t)window.x * pixels.bytes,
                   row);
    }
    p->images[index] = (struct detk_image){
        .pixels = picture->device.at,
        .stride = (int64_t)row,
        .height = window.height,
        .width = window.width,
        .format = format.pixels,
        .frame_height = frame->height,
        .frame_width = frame->width,
    };
    picture->under_way = true;
    return det_cuda_input_upload(env, device, picture->device.at, picture->pinned.at, bytes,
                                 "uploading a picture");
}

void det_cuda_pictures_arrived(struct det_cuda_pictures *p)
{
    for (int32_t i = 0; i < p->batch; i++)
        p->pictures[i].under_way = false;
}

size_t det_cuda_pictures_bytes(const struct det_cuda_pictures *p)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < p->batch; i++)
        bytes += p->pictures[i].pinned.bytes + p->pictures[i].device.bytes;
    return bytes;
}
