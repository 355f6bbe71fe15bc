/* tile_options.h: how tools are told to look at pictures in tiles. */
#ifndef DET_TOOLS_COMMON_TILE_OPTIONS_H
#define DET_TOOLS_COMMON_TILE_OPTIONS_H

#include "common/options.h"
#include "det/detector.h"

struct tile_options {
    struct option_size size;
    double overlap;
};

#define TILE_OPTIONS_INIT ((struct tile_options){.overlap = .2})

#define TILE_OPTIONS(o)                                                                          \
    {"tiles", OPTION_SIZE, &(o)->size, "SIZE",                                                   \
     "look at each picture in overlapping tiles of SIZE pixels, N or WIDTHxHEIGHT (as large as " \
     "the network's input), and as a whole, for small objects"},                                 \
    {                                                                                            \
        "tile_overlap", OPTION_DOUBLE, &(o)->overlap, "SHARE",                                   \
            "of a tile's side that neighbours have in common, 0 to 0.9: objects smaller than "   \
            "that "                                                                              \
            "are whole in one of them"                                                           \
    }

/* What is wrong with them, NULL: nothing. */
static inline const char *tile_options_fault(const struct tile_options *options)
{
    return options->overlap >= 0 && options->overlap <= .9 ? NULL
                                                           : "--tile_overlap: expected 0 to 0.9";
}

/* As the library takes them, in `settings`; NULL: no tiles. */
static inline const det_tile_settings *tile_options_settings(const struct tile_options *options,
                                                             det_tile_settings *settings)
{
    det_tile_settings_default(settings);
    settings->height = options->size.height;
    settings->width = options->size.width;
    settings->overlap = (float)options->overlap;
    return options->size.given ? settings : NULL;
}

#endif
