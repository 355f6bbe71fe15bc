/* prepared_map.h: how a tensor of the prepared network lies in memory: in channel blocks
 * (blocked.h), with or without a frame of zero pixels, or plain NHWC (the network's input and
 * outputs). */
#ifndef DET_DEVICES_CPU_PREPARED_PREPARED_MAP_H
#define DET_DEVICES_CPU_PREPARED_PREPARED_MAP_H

#include "ops/cpu/blocked/blocked.h"
#include "ops/q8.h"

/* What products of some kernels need beside their input (prepared_beside.h). NULL: they do not. */
struct detk_beside {
    const int32_t *pairs; /* of all pixels, one after the other */
    const float *sums;    /* of the groups of pixels of all rows */
    ptrdiff_t group;      /* words of one */
};

struct detk_map {
    float *first;              /* pixel 0, 0 of channel 0 of image 0 */
    struct detk_beside beside; /* as a product's input: of its pixels */
    int32_t h, w, c;
    bool framed, plain, bf16;
    const struct detk_blocked *q8;      /* in 8 bits by these kernels; NULL: it is not */
    struct det_q8_tensor tensor;        /* then */
    ptrdiff_t pixel, row, block, image; /* strides in words (blocked.h); block: of 16 channels */
};

static inline int32_t detk_blocks(int32_t channels)
{
    return (channels + DETK_BLOCK - 1) / DETK_BLOCK;
}

static inline bool detk_map_is_float(const struct detk_map *map)
{
    return map->q8 == NULL && !map->bf16;
}

static inline float *detk_map_at(const struct detk_map *map, int32_t image, int32_t block,
                                 int32_t y, int32_t x)
{
    return map->first + image * map->image + block * map->block + y * map->row + x * map->pixel;
}

/* In blocks of the kernels' form; `tensor`: in 8 bits, else NULL. *words is what `batch` images
 * take. `first` is still NULL: detk_map_place() sets it. */
struct detk_map detk_map_blocked(const struct detk_blocked *kernels,
                                 const struct det_q8_tensor *tensor, int32_t h, int32_t w,
                                 int32_t c, bool framed, int32_t batch, size_t *words);
void detk_map_place(struct detk_map *map, float *memory);
/* Plain NHWC at `first`, images `image` floats apart. */
struct detk_map detk_map_plain(float *first, int32_t h, int32_t w, int32_t c, ptrdiff_t image);

/* The rows follow each other without a gap. */
static inline bool detk_map_seamless(const struct detk_map *map)
{
    return map->row == map->w * map->pixel;
}

/* Fills words with real zeros; `zero`: of the tensor in 8 bits, elsewhere unused. */
void detk_fill_zeros(const struct detk_blocked *kernels, int32_t zero, float *words, size_t count);

/* Zeros the frame beside rows y..end-1 of blocks block..end_block-1, and above the first and below
 * the last row. Nothing without a frame. */
void detk_map_zero_frame(const struct detk_map *map, int32_t image, int32_t block,
                         int32_t end_block, int32_t y, int32_t end);

/* to[y][x] += low[y / 2][x / 2] for rows y..end-1 of these blocks; `sum` as in blocked.h. */
void detk_map_add_upsampled(const struct detk_blocked *kernels, const struct detk_map *low,
                            const struct detk_q8_sum *sum, const struct detk_map *to, int32_t image,
                            int32_t block, int32_t end_block, int32_t y, int32_t end);

/* Neighbouring pixels of a block to and from blocks of float32. */
void detk_map_widen(const struct detk_map *map, const float *from, int32_t pixels, float *to);
void detk_map_narrow(const struct detk_map *map, const float *from, int32_t pixels, float *to);

/* The same where the tensor between two kernels of different form is never a map: from kernels of
 * one, NULL: that make float32, to those of the other; `tensor`: what is in 8 bits on one side. */
void detk_blocks_convert(const struct detk_blocked *from_form, const struct detk_blocked *to_form,
                         const struct det_q8_tensor *tensor, const float *from, int32_t pixels,
                         float *to);

/* Copies an image to and from plain float32 NHWC [h][w][c]. */
void detk_map_read(const struct detk_map *map, int32_t image, float *plain);
void detk_map_write(const struct detk_map *map, int32_t image, const float *plain);

#endif
