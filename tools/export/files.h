/* files.h: one model in several formats: all are made and proved in memory before the first is
 * written. */
#ifndef DET_TOOLS_EXPORT_FILES_H
#define DET_TOOLS_EXPORT_FILES_H

#include "common/tool.h"
#include "export/choices.h"

struct export_files {
    const det_export_format *formats[MOST_FORMATS];
    det_export *exports[MOST_FORMATS];
    double seconds[MOST_FORMATS]; /* to make and prove them */
    /* After export_files_evaluate(): what they find in how many images, and what COCO's table
     * begins with. */
    det_evaluation *found[MOST_FORMATS];
    int64_t images;
    double ap[MOST_FORMATS], ap50[MOST_FORMATS];
    size_t count;
};

det_status export_files_make(struct tool *tool, const struct export_choices *choices,
                             const det_model *model, struct export_files *files);
/* Names them as outputs in `folder` (output.h), which is made. */
det_status export_files_announce(struct tool *tool, const struct export_files *files,
                                 const char *folder);

/* What is evaluated on. */
struct export_test {
    const det_pipeline_config *config; /* with the records as its eval_input_reader's */
    det_evaluation_settings settings;
};
/* Of a model, or of its file. `name` for messages. */
det_status export_test_evaluate(struct tool *tool, struct export_test *test, const det_model *model,
                                const det_export *exported, const char *name,
                                det_evaluation **evaluation);
/* What each file finds (det_evaluation_settings.exported). */
det_status export_files_evaluate(struct tool *tool, const det_model *model,
                                 struct export_test *test, struct export_files *files);
det_status export_files_write(struct tool *tool, const struct export_files *files,
                              const char *folder);
void export_files_destroy(struct export_files *files);

/* For people: sizes, inputs and outputs, what the proof found. */
det_status export_files_print(struct tool *tool, const struct export_files *files,
                              const char *folder);
/* The same as JSON, of the model that was read `from`; "-" is standard output. `tries` NULL: the
 * model is not evaluated in 8 bits. */
struct export_tries;
det_status export_files_json(struct tool *tool, const struct export_files *files,
                             const char *folder, const char *from, const det_model *model,
                             const struct export_tries *tries, const char *path);

#endif
