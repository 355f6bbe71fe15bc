/* detect_image.c: loads a model, reads a picture, prints what is in it.
 *
 *     detect_image MODEL.det IMAGE [SCORE]
 */
#include <stdio.h>
#include <stdlib.h>

#include <det/det.h>

/* What a program does with a failed call: the context knows the details; while there is none,
 * det_error does. */
static int fail(const char *message)
{
    fprintf(stderr, "detect_image: %s\n", message);
    return EXIT_FAILURE;
}

static void print(const det_model *model, const det_image_view *view,
                  const det_detection *detections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const det_detection *d = &detections[i];
        printf("%-16s %3.0f%%  x %.0f to %.0f, y %.0f to %.0f\n",
               det_model_class_name(model, d->class_id), 100.0 * (double)d->score,
               (double)d->xmin * view->width, (double)d->xmax * view->width,
               (double)d->ymin * view->height, (double)d->ymax * view->height);
    }
    printf("%zu object%s\n", count, count == 1 ? "" : "s");
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.det IMAGE [SCORE]\n", argv[0]);
        return 2;
    }
    det_context *context = NULL;
    det_model *model = NULL;
    det_detector *detector = NULL;
    det_picture *picture = NULL;
    det_detector_settings settings;
    det_detector_settings_default(&settings);
    if (argc > 3)
        settings.score_threshold = strtof(argv[3], NULL);

    det_error error;
    if (det_context_create_explained(&context, NULL, &error) != DET_OK)
        return fail(error.text);
    det_status status = det_model_load(context, argv[1], &model);
    if (status == DET_OK)
        status = det_detector_create(context, model, &settings, &detector);
    if (status == DET_OK)
        status = det_picture_read(context, argv[2], &picture);

    const det_image_view view = det_picture_view(picture);
    const det_detection *detections = NULL;
    size_t count = 0;
    if (status == DET_OK)
        status = det_detector_run(detector, &view, &detections, &count);
    if (status == DET_OK)
        print(model, &view, detections, count);

    const int exit_status = status == DET_OK ? EXIT_SUCCESS : fail(det_context_error(context));
    det_picture_destroy(&picture);
    det_detector_destroy(&detector);
    det_model_destroy(&model);
    det_context_destroy(&context);
    return exit_status;
}
