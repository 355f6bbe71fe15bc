/* custom_postprocess.c: a program's own post-processing of the network's outputs: boxes that
 * overlap suppress one another whatever their class, where the API does so within a class only.
 *
 *     custom_postprocess MODEL.det IMAGE
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <det/det.h>

enum { MOST = 20 };

/* The surest class of each anchor. */
static void choose(const det_detector_raw *raw, float *scores, int32_t *class_ids)
{
    for (int32_t a = 0; a < raw->anchor_count; a++) {
        const float *logits = raw->logits + (size_t)a * ((size_t)raw->class_count + 1);
        int32_t best = 1; /* column 0 is the background */
        for (int32_t id = 2; id <= raw->class_count; id++)
            best = logits[id] > logits[best] ? id : best;
        scores[a] = 1 / (1 + expf(-logits[best]));
        class_ids[a] = best;
    }
}

/* Boxes are relative to the network's input, of which the picture is the window. */
static det_status post_process(det_context *context, const det_model *model,
                               const det_detector_raw *raw)
{
    const size_t anchors = (size_t)raw->anchor_count;
    float *boxes = malloc(anchors * 4 * sizeof *boxes), *scores = malloc(anchors * sizeof *scores);
    int32_t *class_ids = malloc(anchors * sizeof *class_ids), kept[MOST];
    size_t count = 0;
    det_nms_settings nms = {.struct_size = sizeof nms};
    det_status status = DET_STATUS_OUT_OF_MEMORY;
    if (boxes != NULL && scores != NULL && class_ids != NULL) {
        choose(raw, scores, class_ids);
        status = det_model_nms_settings(context, model, &nms);
    }
    if (status == DET_OK)
        status =
            det_boxes_decode(context, nms.scales, raw->encodings, raw->anchors, anchors, boxes);
    if (status == DET_OK)
        status = det_boxes_suppress(context, boxes, scores, anchors, .5F, nms.iou_threshold, MOST,
                                    kept, &count);
    for (size_t i = 0; i < count; i++) {
        const float *box = boxes + 4 * (size_t)kept[i], *w = raw->window;
        printf("%-16s %3.0f%%  y %.3f to %.3f, x %.3f to %.3f\n",
               det_model_class_name(model, class_ids[kept[i]]), 100.0 * (double)scores[kept[i]],
               (double)((box[0] - w[0]) / (w[2] - w[0])), (double)((box[2] - w[0]) / (w[2] - w[0])),
               (double)((box[1] - w[1]) / (w[3] - w[1])),
               (double)((box[3] - w[1]) / (w[3] - w[1])));
    }
    free(class_ids);
    free(scores);
    free(boxes);
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.det IMAGE\n", argv[0]);
        return 2;
    }
    det_context *context = NULL;
    det_model *model = NULL;
    det_detector *detector = NULL;
    det_picture *picture = NULL;
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    settings.keep_outputs = 1;

    det_error error;
    if (det_context_create_explained(&context, NULL, &error) != DET_OK) {
        fprintf(stderr, "custom_postprocess: %s\n", error.text);
        return EXIT_FAILURE;
    }
    det_status status = det_model_load(context, argv[1], &model);
    if (status == DET_OK)
        status = det_detector_create(context, model, &settings, &detector);
    if (status == DET_OK)
        status = det_picture_read(context, argv[2], &picture);

    const det_image_view view = det_picture_view(picture);
    const det_detection *detections = NULL;
    size_t count = 0;
    det_detector_raw raw = {.struct_size = sizeof raw};
    if (status == DET_OK)
        status = det_detector_run(detector, &view, &detections, &count);
    if (status == DET_OK)
        status = det_detector_outputs(detector, 0, &raw);
    if (status == DET_OK)
        status = post_process(context, model, &raw);
    if (status != DET_OK)
        fprintf(stderr, "custom_postprocess: %s: %s\n", det_status_text(status),
                det_context_error(context));
    det_picture_destroy(&picture);
    det_detector_destroy(&detector);
    det_model_destroy(&model);
    det_context_destroy(&context);
    return status == DET_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
