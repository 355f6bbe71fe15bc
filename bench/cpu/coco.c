/* coco.c: COCO evaluation of two files, once they are in memory. */
#include <stdlib.h>

#include "bench.h"
#include "det/det.h"

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
    if (det_context_create(&context, &settings, NULL) != DET_OK)
        return 1;
    det_status status = det_coco_evaluator_create(context, NULL, &evaluator);
    if (status == DET_OK)
        status = det_coco_evaluator_load_ground_truth(evaluator, truth);
    if (status == DET_OK)
        status = det_coco_evaluator_load_detections(evaluator, detections);
    const double start = bench_now();
    if (status == DET_OK)
        status = det_coco_evaluator_compute(evaluator, &result);
    const double seconds = bench_now() - start;
    if (status == DET_OK) {
        printf("{\"seconds\":%.6f,\"stats\":[", seconds);
        for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
            printf("%s%.17g", i > 0 ? "," : "", result->stats[i]);
        printf("]}\n");
    } else {
        fprintf(stderr, "bench: %s\n", det_context_error(context));
    }
    det_coco_evaluator_destroy(&evaluator);
    det_context_destroy(&context);
    return status == DET_OK ? 0 : 1;
}
