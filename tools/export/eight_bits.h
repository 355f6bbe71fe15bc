/* eight_bits.h: det-export --precision int8: the model in 8 bits, from pictures, and what that
 * costs. */
#ifndef DET_TOOLS_EXPORT_EIGHT_BITS_H
#define DET_TOOLS_EXPORT_EIGHT_BITS_H

#include "common/tool.h"
#include "support/text.h"

struct eight_bits {
    struct option_list calibration;
    int64_t images;
    const char *observer; /* NULL: auto */
    bool only;
    double max_drop;
};

#define EIGHT_BITS_MAX_DROP .005
#define EIGHT_BITS_INIT                                                    \
    {                                                                      \
        .images = DET_QUANTISATION_IMAGES, .max_drop = EIGHT_BITS_MAX_DROP \
    }

/* Entries of an option table. */
#define EIGHT_BITS_OPTIONS(e)                                                                    \
    {"calibration", OPTION_LIST, &(e)->calibration, "RECORDS|FOLDER",                            \
     "of --precision int8: pictures like those that the model will see, records or a folder of " \
     "image files; labels are not needed; may be repeated. A checkpoint that was trained in "    \
     "8 bits, with graph_rewriter in its config, needs none"},                                   \
        {"calibration_images", OPTION_INT, &(e)->images, "N",                                    \
         "pictures of --calibration, taken evenly from all"},                                    \
        {"observer", OPTION_STRING, &(e)->observer, "WHICH",                                     \
         "how ranges are chosen: minmax, average, percentile, squares; auto, the default: the "  \
         "one whose outputs differ least from float32"},                                         \
        {"int8_only", OPTION_FLAG, &(e)->only, NULL,                                             \
         "no layer stays in float32, for accelerators that know 8 bits only; so it is always "   \
         "with tflite"},                                                                         \
    {                                                                                            \
        "max_drop", OPTION_DOUBLE, &(e)->max_drop, "X",                                          \
            "of --precision int8 with --eval: while AP falls by more, other calibrations are "   \
            "tried (other observers, unless one is named; channels and biases as they are), "    \
            "then layers that cost most go back to float32, up to a quarter of the work (not "   \
            "with --int8_only); nothing is written when that is not enough"                      \
    }

/* What is wrong with them; NULL: nothing. `wanted`: --precision int8. */
const char *eight_bits_fault(const struct eight_bits *e, bool wanted, bool evaluates);

/* Of a model in 8 bits a precision would be another model: INVALID_ARGUMENT. `precision`: as it was
 * given, NULL: not. */
det_status eight_bits_check(struct tool *tool, const det_model *model, const char *precision);

/* Who judges a model in 8 bits: det_quantisation_settings.accept. */
struct eight_bits_judge {
    int (*accept)(void *user, const det_model *candidate);
    void *user;
};
/* A copy of `model` in 8 bits that `judge` accepts; NULL: the first one. */
det_status eight_bits_make(struct tool *tool, const struct eight_bits *e,
                           const struct option_list *image_dirs, const det_model *model,
                           const struct eight_bits_judge *judge, det_model **quantised);

/* Tells how it came to be, and which layers cost most. */
det_status eight_bits_tell(struct tool *tool, const det_model *quantised);
/* Adds the worst layers that are in 8 bits to a text: "a (0.012), b (0.008)". */
det_status eight_bits_name_worst(struct tool *tool, const det_model *quantised,
                                 struct det_text *text);

/* Members of an object of JSON: how it came to be, and the whole table of sensitivity. */
struct det_json_writer;
det_status eight_bits_json(struct tool *tool, const det_model *quantised,
                           struct det_json_writer *json);

#endif
