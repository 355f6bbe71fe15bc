/* results_file.h: results.csv: a row for each evaluation of a training, for spreadsheets and
 * scripts. docs/monitoring.md describes the columns.
 *
 * No row is ever taken out. One whose place another took says so in its first column, `current`,
 * which is 1 and becomes 0 when the same step is evaluated again in the same way on the same data,
 * or when a training goes on from an earlier step. The file is replaced whole (support/writer.h):
 * an evaluation or a process that ends early leaves no half row. Processes that add to one file,
 * det-train and det-eval, wait for one another by a lock on its folder.
 *
 * A file that begins otherwise (another version's, or saved anew by a spreadsheet) is kept under
 * another name, which is told, and a new one begun. Columns of classes are added as they come. */
#ifndef DET_EVAL_RESULTS_FILE_H
#define DET_EVAL_RESULTS_FILE_H

#include "det/evaluation.h"
#include "support/env.h"

#define DET_RESULTS_NAME "results.csv"

struct det_results_row {
    const char *run;  /* the event files' (eval/evaluation_summary.h) */
    const char *form; /* "api" or "exported" */
    const char *data; /* the first file of the records */
    int64_t step;
    const det_coco_result *coco;
    const det_evaluation_losses *losses;
};

det_status det_results_add(struct det_env *env, const char *path,
                           const struct det_results_row *row);

/* Rows of this and later steps are not current any more. Nothing without a file. */
det_status det_results_cut(struct det_env *env, const char *path, int64_t first_step);

/* results.csv becomes results.old.csv, results.old-2.csv, ...: another training begins in the
 * folder. Nothing without a file. */
det_status det_results_set_aside(struct det_env *env, const char *path);

#endif
