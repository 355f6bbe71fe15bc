/* result_texts.c: det/results.h on results.h and formats/annotation_write.h. */
#include "base/arguments.h"
#include "base/context.h"
#include "detect/results.h"
#include "formats/annotation_write.h"
#include "support/mem.h"

struct det_results {
    det_context *context;
    const det_model *model;
    struct det_text text;       /* that was handed out last */
    struct det_xml_writer cvat; /* from a head to its tail */
    bool cvat_open;
    struct det_annotated_box *boxes;
    size_t box_capacity;
    char (*names)[32]; /* of classes that have none */
    size_t name_capacity;
};

static struct det_env *env_of(const det_results *results)
{
    return results == NULL ? NULL : det_context_env(results->context);
}

det_status det_results_create(det_context *context, const det_model *model, det_results **results)
{
    struct det_env *env = det_context_env(context);
    if (results != NULL)
        *results = NULL;
    DET_NEED(env, context);
    DET_NEED(env, results);
    struct det_results *made = NULL;
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "results"));
    made->context = context;
    made->model = model;
    *results = made;
    return DET_OK;
}

void det_results_destroy(det_results **results)
{
    if (results == NULL || *results == NULL)
        return;
    struct det_env *env = env_of(*results);
    det_text_free(env, &(*results)->text);
    det_free(env, &(*results)->boxes);
    det_free(env, &(*results)->names);
    det_free(env, results);
}

/* Before anything is written: an empty text, and a format that can go on. */
static det_status begin_text(struct det_env *env, det_results *r, det_results_format format,
                             bool head)
{
    if ((int)format < DET_RESULTS_JSON || format > DET_RESULTS_YOLO)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "results: format is %d, expected one of det_results_format, 0 to 2",
                        (int)format);
    if (format == DET_RESULTS_CVAT && !head && !r->cvat_open)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "results: a document for CVAT begins with its head");
    r->text.length = 0;
    return det_text_append(env, &r->text, "", 0);
}

static det_status cvat_head(struct det_env *env, det_results *r)
{
    const int32_t classes = r->model != NULL ? det_model_class_count(r->model) : 0;
    const char **labels = NULL;
    size_t used = 0;
    DET_TRY_RETURN(det_alloc(env, &labels, (size_t)classes, sizeof *labels, "labels"));
    for (int32_t id = 1; id <= classes; id++)
        if (det_model_class_is_used(r->model, id))
            labels[used++] = det_model_class_name(r->model, id);
    det_xml_begin(&r->cvat, env, &r->text);
    det_cvat_begin(&r->cvat, NULL, labels, used);
    det_free(env, &labels);
    r->cvat_open = r->cvat.status == DET_OK;
    return r->cvat.status;
}

det_status det_results_head(det_results *results, det_results_format format, const char **text)
{
    struct det_env *env = env_of(results);
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, results);
    DET_NEED(env, text);
    DET_TRY_RETURN(begin_text(env, results, format, true));
    if (format == DET_RESULTS_CVAT)
        DET_TRY_RETURN(cvat_head(env, results));
    *text = results->text.data;
    return DET_OK;
}

static det_status take_boxes(struct det_env *env, det_results *r, const det_detection *detections,
                             size_t count)
{
    DET_TRY_RETURN(det_grow(env, &r->boxes, &r->box_capacity, count, sizeof *r->boxes, "boxes"));
    DET_TRY_RETURN(det_grow(env, &r->names, &r->name_capacity, count, sizeof *r->names, "names"));
    for (size_t i = 0; i < count; i++) {
        const det_detection *d = &detections[i];
        r->boxes[i] = (struct det_annotated_box){
            .class_index = d->class_id - 1,
            .label = det_results_class(r->names[i], r->model, d),
            .box_norm = {(double)d->ymin, (double)d->xmin, (double)d->ymax, (double)d->xmax},
            .automatic = true};
    }
    return DET_OK;
}

static det_status annotations(struct det_env *env, det_results *r, bool cvat,
                              const det_results_frame *frame, const det_detection *detections,
                              size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!det_results_finite(&detections[i], frame->width, frame->height))
            return det_fail(env, DET_STATUS_NON_FINITE, "%s: detection %zu is not finite",
                            frame->name != NULL ? frame->name : "frame", i);
    DET_TRY_RETURN(take_boxes(env, r, detections, count));
    const struct det_annotated_image image = {.id = frame->number,
                                              .name = frame->name,
                                              .width = frame->width,
                                              .height = frame->height,
                                              .boxes = r->boxes,
                                              .count = count};
    if (!cvat)
        return det_yolo_txt(env, &r->text, &image);
    det_cvat_put_image(&r->cvat, &image);
    return r->cvat.status;
}

static det_status json_line(struct det_env *env, det_results *r, const det_results_frame *frame,
                            const det_detection *detections, size_t count)
{
    DET_TRY_RETURN(det_results_frame_json(env, &r->text, r->model, frame, detections, count));
    return det_text_append(env, &r->text, "\n", 1);
}

det_status det_results_text(det_results *results, det_results_format format,
                            const det_results_frame *frame, const det_detection *detections,
                            size_t count, const char **text)
{
    struct det_env *env = env_of(results);
    det_results_frame taken = {.struct_size = sizeof taken};
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, results);
    DET_NEED(env, frame);
    DET_NEED_ARRAY(env, detections, count);
    DET_NEED(env, text);
    DET_TRY_RETURN(DET_TAKE(env, det_results_frame, &taken, frame));
    DET_TRY_RETURN(det_check_reserved(env, "det_results_frame", taken.reserved));
    DET_TRY_RETURN(begin_text(env, results, format, false));
    if (taken.name == NULL && format != DET_RESULTS_YOLO)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "det_results_frame: name is NULL");
    if (taken.width < 0 || taken.height < 0)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "det_results_frame: of %d x %d pixels",
                        (int)taken.width, (int)taken.height);
    DET_TRY_RETURN(
        format == DET_RESULTS_JSON
            ? json_line(env, results, &taken, detections, count)
            : annotations(env, results, format == DET_RESULTS_CVAT, &taken, detections, count));
    *text = results->text.data;
    return DET_OK;
}

det_status det_results_tail(det_results *results, det_results_format format, const char **text)
{
    struct det_env *env = env_of(results);
    if (text != NULL)
        *text = NULL;
    DET_NEED(env, results);
    DET_NEED(env, text);
    DET_TRY_RETURN(begin_text(env, results, format, false));
    if (format == DET_RESULTS_CVAT) {
        results->cvat_open = false;
        det_cvat_end(&results->cvat);
        DET_TRY_RETURN(det_xml_end(&results->cvat));
    }
    *text = results->text.data;
    return DET_OK;
}
