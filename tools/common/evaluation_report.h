/* evaluation_report.h: what det-eval and det-train print of an evaluation. */
#ifndef DET_TOOLS_COMMON_EVALUATION_REPORT_H
#define DET_TOOLS_COMMON_EVALUATION_REPORT_H

#include "common/tool.h"
#include "support/text.h"

/* Adds COCO's table and the classes' of a computed evaluator. */
det_status evaluation_tables(struct det_env *env, struct det_text *text,
                             det_coco_evaluator *evaluator);

/* How a model was evaluated: where both ways can differ each says which it is. */
enum evaluation_form { EVALUATION_ONLY, EVALUATION_API, EVALUATION_EXPORTED };

/* Adds the tables, then each figure on a line, as the API does: "Eval metrics at step 600 (FROM)",
 * "+ NAME: VALUE". The classes' table is left out for the API's way beside the exported form. */
det_status evaluation_text(struct det_env *env, struct det_text *text, det_evaluation *evaluation,
                           enum evaluation_form form, int64_t step, const char *from);

/* One of several evaluations, as one line. */
struct evaluation_row {
    const det_evaluation *evaluation;
    const det_evaluation *api; /* as the API evaluates; NULL: the one above is that too */
    int64_t step;
    double seconds; /* that both took */
    bool is_best;   /* so far */
};

det_status evaluation_print_row(const struct evaluation_row *row);

#endif
