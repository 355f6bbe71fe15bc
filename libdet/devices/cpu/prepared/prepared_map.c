#include "devices/cpu/prepared/prepared_map.h"

#include <string.h>

#include "ops/cpu/blocked/q8_finish.h"
#include "ops/cpu/isa/bf16.h"

struct detk_map detk_map_blocked(const struct detk_blocked *kernels,
                                 const struct det_q8_tensor *tensor, int32_t h, int32_t w,
                                 int32_t c, bool framed, int32_t batch, size_t *words)
{
    const ptrdiff_t edge = framed ? 2 : 0;
    struct detk_map map = {
        .h = h, .w = w, .c = c, .framed = framed, .bf16 = kernels->bf16, .pixel = kernels->words};
    if (kernels->q8) {
        map.q8 = kernels;
        map.tensor = *tensor;
    }
    map.row = (w + edge) * map.pixel;
    map.block = (h + edge) * map.row;
    map.image = detk_blocks(c) * map.block;
    *words = (size_t)batch * (size_t)map.image;
    return map;
}

void detk_map_place(struct detk_map *map, float *memory)
{
    map->first = memory + (map->framed ? map->row + map->pixel : 0);
}

struct detk_map detk_map_plain(float *first, int32_t h, int32_t w, int32_t c, ptrdiff_t image)
{
    return (struct detk_map){.first = first,
                             .h = h,
                             .w = w,
                             .c = c,
                             .plain = true,
                             .pixel = c,
                             .row = (ptrdiff_t)w * c,
                             .block = DETK_BLOCK,
                             .image = image};
}

void detk_fill_zeros(const struct detk_blocked *kernels, int32_t zero, float *words, size_t count)
{
    const int stored = kernels != NULL && kernels->q8 ? zero + DETK_Q8_BIAS : 0;
    if (stored == 0 || detk_q8_word_values(kernels) == 4) {
        memset(words, stored, count * sizeof *words);
        return;
    }
    const uint32_t word = (uint32_t)stored * 0x10001U;
    for (size_t i = 0; i < count; i++)
        memcpy(words + i, &word, sizeof word);
}

static void zero_pixels(const struct detk_map *map, int32_t image, int32_t block, int32_t y,
                        int32_t x, ptrdiff_t words)
{
    detk_fill_zeros(map->q8, map->tensor.zero, detk_map_at(map, image, block, y, x), (size_t)words);
}

void detk_map_zero_frame(const struct detk_map *map, int32_t image, int32_t block,
                         int32_t end_block, int32_t y, int32_t end)
{
    if (!map->framed)
        return;
    for (; block < end_block; block++) {
        if (y == 0)
            zero_pixels(map, image, block, -1, -1, map->row);
        for (int32_t i = y; i < end; i++) {
            zero_pixels(map, image, block, i, -1, map->pixel);
            zero_pixels(map, image, block, i, map->w, map->pixel);
        }
        if (end == map->h)
            zero_pixels(map, image, block, map->h, -1, map->row);
    }
}

void detk_map_add_upsampled(const struct detk_blocked *kernels, const struct detk_map *low,
                            const struct detk_q8_sum *sum, const struct detk_map *to, int32_t image,
                            int32_t block, int32_t end_block, int32_t y, int32_t end)
{
    for (; block < end_block; block++) {
        for (int32_t i = y; i < end; i++)
            kernels->add_upsampled(detk_map_at(low, image, block, i / 2, 0), to->w, sum,
                                   detk_map_at(to, image, block, i, 0));
    }
}

/* Channels of block `block` that exist. */
static int32_t used(const struct detk_map *map, int32_t block)
{
    const int32_t left = map->c - block * DETK_BLOCK;
    return left < DETK_BLOCK ? left : DETK_BLOCK;
}

static void widen_bf16(const float *words, int32_t count, float *to)
{
    for (int32_t j = 0; j < count; j++) {
        uint16_t value;
        memcpy(&value, (const char *)words + (size_t)j * sizeof value, sizeof value);
        to[j] = detk_from_bf16(value);
    }
}

static void narrow_bf16(const float *from, int32_t count, float *words)
{
    for (int32_t j = 0; j < count; j++) {
        const uint16_t value = detk_to_bf16(from[j]);
        memcpy((char *)words + (size_t)j * sizeof value, &value, sizeof value);
    }
}

void detk_map_widen(const struct detk_map *map, const float *from, int32_t pixels, float *to)
{
    if (map->q8 != NULL)
        map->q8->widen(from, pixels, &map->tensor, to);
    else if (map->bf16)
        widen_bf16(from, pixels * DETK_BLOCK, to);
    else
        memcpy(to, from, (size_t)pixels * DETK_BLOCK * sizeof *to);
}

void detk_map_narrow(const struct detk_map *map, const float *from, int32_t pixels, float *to)
{
    if (map->q8 != NULL)
        map->q8->narrow(from, pixels, &map->tensor, to);
    else if (map->bf16)
        narrow_bf16(from, pixels * DETK_BLOCK, to);
    else
        memcpy(to, from, (size_t)pixels * DETK_BLOCK * sizeof *to);
}

void detk_blocks_convert(const struct detk_blocked *from_form, const struct detk_blocked *to_form,
                         const struct det_q8_tensor *tensor, const float *from, int32_t pixels,
                         float *to)
{
    if (from_form != NULL && from_form->q8)
        from_form->widen(from, pixels, tensor, to);
    else
        to_form->narrow(from, pixels, tensor, to);
}

static void read_pixel(const struct detk_map *map, const float *from, int32_t count, float *to)
{
    float block[DETK_BLOCK];
    if (!detk_map_is_float(map)) {
        detk_map_widen(map, from, 1, block);
        from = block;
    }
    memcpy(to, from, (size_t)count * sizeof *to);
}

static void write_pixel(const struct detk_map *map, const float *from, int32_t count, float *to)
{
    float block[DETK_BLOCK] = {0};
    if (detk_map_is_float(map)) {
        memcpy(to, from, (size_t)count * sizeof *to);
        return;
    }
    memcpy(block, from, (size_t)count * sizeof *from);
    detk_map_narrow(map, block, 1, to);
}

void detk_map_read(const struct detk_map *map, int32_t image, float *plain)
{
    for (int32_t block = 0; block < detk_blocks(map->c); block++) {
        const int32_t count = used(map, block);
        for (int32_t y = 0; y < map->h; y++) {
            for (int32_t x = 0; x < map->w; x++) {
                const float *from = detk_map_at(map, image, block, y, x);
                float *to = plain + ((ptrdiff_t)y * map->w + x) * map->c + block * DETK_BLOCK;
                read_pixel(map, from, count, to);
            }
        }
    }
}

void detk_map_write(const struct detk_map *map, int32_t image, const float *plain)
{
    for (int32_t block = 0; block < detk_blocks(map->c); block++) {
        const int32_t count = used(map, block);
        for (int32_t y = 0; y < map->h; y++) {
            for (int32_t x = 0; x < map->w; x++) {
                const float *from =
                    plain + ((ptrdiff_t)y * map->w + x) * map->c + block * DETK_BLOCK;
                float *to = detk_map_at(map, image, block, y, x);
                write_pixel(map, from, count, to);
            }
        }
    }
    detk_map_zero_frame(map, image, 0, detk_blocks(map->c), 0, map->h);
}
