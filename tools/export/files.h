/* files.h: one model in several formats: all are made and proved in memory before the first is
 * written. */
#ifndef DET_TOOLS_EXPORT_FILES_H
#define DET_TOOLS_EXPORT_FILES_H

#include "common/tool.h"
#include "export/choices.h"
#include "export/eight_bits.h"

struct export_files {
    const det_export_format *formats[MOST_FORMATS];
    det_export *exports[MOST_FORMATS];
    double seconds[MOST_FORMATS]; /* to make and prove them */
    /* After export_files_evaluate(): of how many images, and what COCO's table begins with. */
    int64_t images;
    double ap[MOST_FORMATS], ap50[MOST_FORMATS];
    size_t count;
};

/* Makes them and names them as outputs in `folder` (output.h), which is made. */
det_status export_files_make(struct tool *tool, const struct export_choices *choices,
                             const det_model *model, const char *folder,
                             struct export_files *files);
/* Records to evaluate on. */
struct export_test {
    const char *records;
    const struct option_list *image_dirs;
    int64_t most; /* images, 0: all */
};
/* What each file finds in the records (det_evaluation_settings.exported). `before`: NULL, or the
 * model that `model` is in 8 bits, which is evaluated too and compared (eight_bits_judge()). */
det_status export_files_evaluate(struct tool *tool, det_pipeline_config *config,
                                 const det_model *model, const struct export_test *test,
                                 const det_model *before, struct eight_bits *eight_bits,
                                 struct export_files *files);
det_status export_files_write(struct tool *tool, const struct export_files *files,
                              const char *folder);
void export_files_destroy(struct export_files *files);

/* For people: sizes, inputs and outputs, what the proof found. */
det_status export_files_print(struct tool *tool, const struct export_files *files,
                              const char *folder);
/* The same as JSON, of the model that was read `from`; "-" is standard output. eight_bits NULL: the
 * model is not in 8 bits. */
det_status export_files_json(struct tool *tool, const struct export_files *files,
                             const char *folder, const char *from, const det_model *model,
                             const struct eight_bits *eight_bits, const char *path);

#endif
