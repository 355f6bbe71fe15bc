/* tries.h: det-export --precision int8 --eval: a model in 8 bits is evaluated as its files will
 * be, and made anew by other calibrations, then with more layers in float32, as long as too much
 * AP is lost. */
#ifndef DET_TOOLS_EXPORT_TRIES_H
#define DET_TOOLS_EXPORT_TRIES_H

#include "common/tool.h"
#include "det/quantisation.h"
#include "export/eight_bits.h"
#include "export/files.h"

struct export_try {
    det_quantisation_info info;
    double ap; /* of the file that has least */
};

struct export_tries {
    struct tool *tool;
    const struct export_choices *choices;
    const struct eight_bits *eight_bits;
    struct export_test *test;
    const char *folder;
    struct export_files *files; /* of the last try */

    const det_model *model; /* in float32 */
    bool once;              /* the model was trained in 8 bits */
    det_evaluation *before; /* of the float32 model */
    struct export_try *list;
    size_t count, capacity;
    size_t least;          /* the file of the last try that has the lowest AP */
    struct det_text worst; /* layers of the first try */
    det_status status;     /* what failed within a try */
};

/* The fields above the empty line are the caller's. Evaluates `model`, makes a copy in 8 bits and
 * its files. MISMATCH naming the worst layers when AP falls by more than max_drop with each. */
det_status export_tries_make(struct export_tries *tries, const struct option_list *image_dirs,
                             const det_model *model, det_model **quantised);
void export_tries_free(struct export_tries *tries);

/* Members of an object of JSON: AP before and after, and each try's. */
struct det_json_writer;
void export_tries_json(const struct export_tries *tries, struct det_json_writer *json);

#endif
