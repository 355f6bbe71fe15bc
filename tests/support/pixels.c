#include "support/pixels.h"

#include <stdlib.h>

#include "support/test.h"

uint8_t *test_pixels_copy(const uint8_t *rgb, struct det_pixels *pixels, int32_t padding,
                          bool upwards)
{
    const ptrdiff_t stride = (ptrdiff_t)pixels->width * pixels->bytes + padding;
    const ptrdiff_t last = (pixels->height - 1) * stride;
    const size_t bytes = (size_t)(last + stride - padding);
    uint8_t *memory = malloc(bytes);
    assert_non_null(memory);
    for (size_t i = 0; i < bytes; i++) /* alpha and padding: anything */
        memory[i] = (uint8_t)(i * 7);
    pixels->first = upwards ? memory + last : memory;
    pixels->stride = upwards ? -stride : stride;
    for (int32_t y = 0; y < pixels->height; y++) {
        uint8_t *to = memory + (pixels->first - memory) + y * pixels->stride;
        for (int32_t x = 0; x < pixels->width; x++, rgb += 3, to += pixels->bytes) {
            to[pixels->red] = rgb[0];
            to[pixels->green] = rgb[1];
            to[pixels->blue] = rgb[2];
        }
    }
    return memory;
}
