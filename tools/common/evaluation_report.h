/* evaluation_report.h: what det-eval and det-train print of an evaluation. */
#ifndef DET_TOOLS_COMMON_EVALUATION_REPORT_H
#define DET_TOOLS_COMMON_EVALUATION_REPORT_H

#include "common/tool.h"

/* COCO's table and the classes' of a computed evaluator. */
det_status evaluation_print_tables(det_coco_evaluator *evaluator);

/* The tables, then each figure on a line, as the API does: "Eval metrics at step 600 (FROM)", "+ NAME: VALUE". */
det_status evaluation_print(det_evaluation *evaluation, int64_t step, const char *from);

#endif
