/* coco.c: COCO evaluation of two files, once they are in memory. */
#include <stdlib.h>

#include "base/context.h"
#include "bench.h"
#include "det/det.h"
#include "json_line.h"
#include "support/clock.h"

int bench_coco(const char *arguments, int threads)
{
    char truth[1000], detections[1000];
    det_context_settings settings;
    det_context *context = NULL;
    det_coco_evaluator *evaluator = NULL;
    const det_coco_result *result = NULL;
    if (sscanf(arguments, "%999[^,],%999s", truth, detections) != 2)
        return 2;
    det_context_settings_default(&settings);
    settings.threads = threads;
    if (det_context_create(&context, &settings) != DET_OK)
        return 1;
    det_status status = det_coco_evaluator_create(context, NULL, &evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_load_ground_truth(evaluator, truth);
    if (status == DET_OK)
        status = det_coco_evaluator_load_detections(evaluator, detections);
    const double start = det_clock_seconds();
    if (status == DET_OK)
        status = det_coco_evaluator_compute(evaluator, &result);
    const double seconds = det_clock_seconds() - start;
    if (status == DET_OK) {
        struct json_line line;
        json_line_open(&line, det_context_env(context));
        det_json_put_fixed(&line.json, "seconds", seconds, 6);
        det_json_put_doubles(&line.json, "stats", result->stats, DET_COCO_STAT_COUNT);
        status = json_line_close(&line);
    }
    if (status != DET_OK)
        fprintf(stderr, "bench: %s\n", det_context_error(context));
    det_coco_evaluator_destroy(&evaluator);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}
