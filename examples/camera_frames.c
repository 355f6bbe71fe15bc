/* camera_frames.c: frames as a camera or decoder hands them over (here bytes of BGR from standard
 * input), a line of JSON for each, and the frames with boxes drawn into them.
 *
 *     ffmpeg -i road.mp4 -f rawvideo -pix_fmt bgr24 - | camera_frames MODEL.det 1280 720 drawn.bgr
 */
#include <stdio.h>
#include <stdlib.h>

#include <det/det.h>

struct camera {
    det_context *context;
    det_detector *detector;
    det_results *results;
    const det_model *model;
    det_canvas frame; /* both what is looked at and what is drawn into */
    size_t bytes;
    FILE *drawn;
};

static det_status draw(struct camera *c, const det_detection *detections, size_t count)
{
    char line[200];
    float y_px = 0;
    det_status status = DET_OK;
    for (size_t i = count; i-- > 0 && status == DET_OK;) {
        det_detection_label(c->model, &detections[i], line, sizeof line);
        status = det_canvas_draw_detection(c->context, &c->frame, &detections[i], line);
    }
    snprintf(line, sizeof line, "%zu objects", count);
    if (status == DET_OK)
        status = det_canvas_draw_note(c->context, &c->frame, 0, &y_px, (det_rgb){24, 24, 24}, line);
    return status;
}

static det_status run(struct camera *c)
{
    const det_image_view view = {.pixels = c->frame.pixels,
                                 .width = c->frame.width,
                                 .height = c->frame.height,
                                 .format = c->frame.format};
    det_results_frame frame = {.struct_size = sizeof frame,
                               .name = "camera",
                               .width = view.width,
                               .height = view.height,
                               .of_video = 1};
    det_status status = DET_OK;
    for (; status == DET_OK && fread(c->frame.pixels, 1, c->bytes, stdin) == c->bytes;
         frame.number++, frame.time_s = (double)frame.number / 25) {
        const det_detection *detections = NULL;
        const char *line = NULL;
        size_t count = 0;
        status = det_detector_run(c->detector, &view, &detections, &count);
        if (status == DET_OK)
            status =
                det_results_text(c->results, DET_RESULTS_JSON, &frame, detections, count, &line);
        if (status == DET_OK)
            status = draw(c, detections, count);
        if (status != DET_OK)
            break;
        fputs(line, stdout);
        if (fwrite(c->frame.pixels, 1, c->bytes, c->drawn) != c->bytes)
            status = det_context_fail(c->context, DET_STATUS_IO, "the drawn frames: cannot write");
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: %s MODEL.det WIDTH HEIGHT DRAWN < FRAMES\n", argv[0]);
        return 2;
    }
    det_model *model = NULL;
    det_error error;
    struct camera c = {.frame = {.width = (int32_t)strtol(argv[2], NULL, 10),
                                 .height = (int32_t)strtol(argv[3], NULL, 10),
                                 .format = DET_PIXEL_BGR8}};
    if (c.frame.width < 1 || c.frame.height < 1 || c.frame.width > 65500 || c.frame.height > 65500)
        return 2;
    if (det_context_create_explained(&c.context, NULL, &error) != DET_OK) {
        fprintf(stderr, "camera_frames: %s\n", error.text);
        return EXIT_FAILURE;
    }
    c.bytes = (size_t)c.frame.width * (size_t)c.frame.height * 3;
    c.frame.pixels = malloc(c.bytes);
    c.drawn = fopen(argv[4], "wb");
    det_status status = DET_OK;
    if (c.frame.pixels == NULL || c.drawn == NULL)
        status = det_context_fail(c.context, DET_STATUS_IO, "no file for the drawn frames");
    if (status == DET_OK)
        status = det_model_load(c.context, argv[1], &model);
    c.model = model;
    if (status == DET_OK)
        status = det_detector_create(c.context, model, NULL, &c.detector);
    if (status == DET_OK)
        status = det_results_create(c.context, model, &c.results);
    if (status == DET_OK)
        status = run(&c);
    if (status != DET_OK)
        fprintf(stderr, "camera_frames: %s\n", det_context_error(c.context));
    if (c.drawn != NULL && fclose(c.drawn) != 0 && status == DET_OK)
        status = DET_STATUS_IO;
    free(c.frame.pixels);
    det_results_destroy(&c.results);
    det_detector_destroy(&c.detector);
    det_model_destroy(&model);
    det_context_destroy(&c.context);
    return status == DET_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
