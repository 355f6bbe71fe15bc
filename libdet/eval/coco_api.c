/* coco_api.c: det/coco.h on top of coco_eval.h. */
#include <math.h>

#include "base/arguments.h"
#include "base/context.h"
#include "det/coco.h"
#include "eval/coco_eval.h"
#include "eval/coco_report.h"
#include "support/mem.h"
#include "support/text.h"

struct det_coco_evaluator {
    det_context *context;
    struct det_coco_eval *eval;
    struct det_coco_names names; /* of the ground truth file, if its image ids are strings */
    struct det_text text;        /* the last one rendered */
};

det_status det_coco_evaluator_create(det_context *context, const det_coco_settings *settings,
                                     det_coco_evaluator **evaluator)
{
    struct det_env *env = det_context_env(context);
    det_coco_evaluator *made = NULL;
    if (evaluator != NULL)
        *evaluator = NULL;
    DET_NEED(env, context);
    DET_NEED(env, evaluator);
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "COCO evaluator"));
    made->context = context;
    const det_status status = det_coco_eval_create(env, settings, &made->eval);
    if (status != DET_OK)
        det_free(env, &made);
    *evaluator = made;
    return status;
}

void det_coco_evaluator_destroy(det_coco_evaluator **evaluator)
{
    if (evaluator == NULL || *evaluator == NULL)
        return;
    struct det_env *env = det_context_env((*evaluator)->context);
    det_coco_eval_destroy(env, &(*evaluator)->eval);
    det_coco_names_free(env, &(*evaluator)->names);
    det_text_free(env, &(*evaluator)->text);
    det_free(env, evaluator);
}

static struct det_env *env_of(const det_coco_evaluator *evaluator)
{
    return evaluator == NULL ? NULL : det_context_env(evaluator->context);
}

det_status det_coco_evaluator_add_category(det_coco_evaluator *evaluator, int64_t id,
                                           const char *name)
{
    struct det_env *env = env_of(evaluator);
    DET_NEED(env, evaluator);
    return det_coco_eval_add_category(env, evaluator->eval, id, name);
}

det_status det_coco_evaluator_add_image(det_coco_evaluator *evaluator, int64_t id)
{
    struct det_env *env = env_of(evaluator);
    DET_NEED(env, evaluator);
    return det_coco_eval_add_image(env, evaluator->eval, id);
}

det_status det_coco_evaluator_add_ground_truth(det_coco_evaluator *evaluator, int64_t image_id,
                                               int64_t category_id, const double box_px[4],
                                               double area_px2, int is_crowd, int ignore)
{
    struct det_env *env = env_of(evaluator);
    DET_NEED(env, evaluator);
    DET_NEED(env, box_px);
    const det_coco_object object = {
        .struct_size = sizeof object,
        .image_id = image_id,
        .category_id = category_id,
        .box_px = {box_px[0], box_px[1], box_px[2], box_px[3]},
        .area_px2 = area_px2,
        .is_crowd = is_crowd,
        .difficult = ignore,
    };
    return det_coco_evaluator_add_object(evaluator, &object);
}

det_status det_coco_evaluator_add_object(det_coco_evaluator *evaluator,
                                         const det_coco_object *object)
{
    struct det_env *env = env_of(evaluator);
    det_coco_object o = {.area_px2 = NAN};
    DET_NEED(env, evaluator);
    DET_NEED(env, object);
    DET_TRY_RETURN(DET_TAKE(env, det_coco_object, &o, object));
    DET_TRY_RETURN(det_check_reserved(env, "det_coco_object", o.reserved));
    const struct det_coco_annotation annotation = {
        .id = 1,
        .image_id = o.image_id,
        .category_id = o.category_id,
        .box_px = {o.box_px[0], o.box_px[1], o.box_px[2], o.box_px[3]},
        .area_px2 = o.area_px2,
        .is_crowd = o.is_crowd != 0,
        .ignore = o.difficult != 0,
        .is_group_of = o.group_of != 0,
    };
    return det_coco_eval_add_object(env, evaluator->eval, &annotation);
}

const struct det_coco_eval *det_coco_evaluator_eval(const det_coco_evaluator *evaluator)
{
    return evaluator->eval;
}

det_status det_coco_evaluator_add_detection(det_coco_evaluator *evaluator, int64_t image_id,
                                            int64_t category_id, const double box_px[4],
                                            double score)
{
    struct det_env *env = env_of(evaluator);
    DET_NEED(env, evaluator);
    DET_NEED(env, box_px);
    const struct det_coco_detection detection = {
        .image_id = image_id,
        .category_id = category_id,
        .box_px = {box_px[0], box_px[1], box_px[2], box_px[3]},
        .score = score,
    };
    return det_coco_eval_add_detection(env, evaluator->eval, &detection);
}

void det_coco_evaluator_clear_detections(det_coco_evaluator *evaluator)
{
    if (evaluator != NULL)
        det_coco_eval_clear_detections(evaluator->eval);
}

det_status det_coco_evaluator_load_ground_truth(det_coco_evaluator *evaluator, const char *path)
{
    struct det_env *env = env_of(evaluator);
    struct det_coco_dataset dataset = {0};
    det_status status = DET_OK;
    DET_NEED(env, evaluator);
    DET_NEED(env, path);
    DET_TRY(det_coco_json_read_dataset(env, path, &dataset));
    if (dataset.names.count > 0) {
        /* Names become ids 1, 2, ...: ids from elsewhere would mean other images. */
        if (det_coco_eval_image_count(evaluator->eval) > 0) {
            status = det_fail(env, DET_STATUS_UNSUPPORTED,
                              "%s: image ids are strings, but there are images already", path);
            goto fail;
        }
        evaluator->names = dataset.names;
        dataset.names = (struct det_coco_names){0};
    } else if (evaluator->names.count > 0 && dataset.image_count > 0) {
        status = det_fail(env, DET_STATUS_MISMATCH,
                          "%s: image ids are integers, but those already there are strings", path);
        goto fail;
    }
    DET_TRY(det_coco_eval_add_dataset(env, evaluator->eval, path, &dataset));
fail:
    det_coco_dataset_free(env, &dataset);
    return status;
}

det_status det_coco_evaluator_load_detections(det_coco_evaluator *evaluator, const char *path)
{
    struct det_env *env = env_of(evaluator);
    struct det_coco_detection_list list = {0};
    DET_NEED(env, evaluator);
    DET_NEED(env, path);
    DET_TRY_RETURN(det_coco_json_read_detections(env, path, &evaluator->names, &list));
    const det_status status = det_coco_eval_add_detections(env, evaluator->eval, path, &list);
    det_coco_detection_list_free(env, &list);
    return status;
}

det_status det_coco_evaluator_save_ground_truth(det_coco_evaluator *evaluator, const char *path)
{
    struct det_env *env = env_of(evaluator);
    struct det_coco_dataset dataset = {0};
    DET_NEED(env, evaluator);
    DET_NEED(env, path);
    DET_TRY_RETURN(det_coco_eval_to_dataset(env, evaluator->eval, &dataset));
    dataset.names = evaluator->names; /* lent */
    const det_status status = det_coco_json_write_dataset(env, path, &dataset);
    dataset.names = (struct det_coco_names){0};
    det_coco_dataset_free(env, &dataset);
    return status;
}

det_status det_coco_evaluator_save_detections(det_coco_evaluator *evaluator, const char *path)
{
    struct det_env *env = env_of(evaluator);
    struct det_coco_detection_list list = {0};
    DET_NEED(env, evaluator);
    DET_NEED(env, path);
    DET_TRY_RETURN(det_coco_eval_to_detections(env, evaluator->eval, &list));
    const det_status status =
        det_coco_json_write_detections(env, path, list.items, list.count, &evaluator->names);
    det_coco_detection_list_free(env, &list);
    return status;
}

det_status det_coco_evaluator_compute(det_coco_evaluator *evaluator, const det_coco_result **result)
{
    struct det_env *env = env_of(evaluator);
    if (result != NULL)
        *result = NULL;
    DET_NEED(env, evaluator);
    DET_NEED(env, result);
    return det_coco_eval_compute(env, evaluator->eval, det_context_pool(evaluator->context),
                                 result);
}

const det_coco_class *det_coco_evaluator_class(const det_coco_evaluator *evaluator, int32_t index)
{
    const det_coco_result *result =
        evaluator == NULL ? NULL : det_coco_eval_result(evaluator->eval);
    return result != NULL && index >= 0 && index < result->class_count ? result->classes[index]
                                                                       : NULL;
}

/* Empties the text that is handed out, "" until there is another. */
static det_status begin_text(det_coco_evaluator *evaluator, const char *function, const char **text)
{
    struct det_env *env = env_of(evaluator);
    if (text != NULL)
        *text = "";
    if (evaluator == NULL || text == NULL)
        return det_null_argument(env, function, evaluator == NULL ? "evaluator" : "text");
    evaluator->text.length = 0;
    return DET_OK;
}

/* Hands the rendered text out, "" after a failure. */
static det_status hand_out(det_coco_evaluator *evaluator, det_status status, const char **text)
{
    *text = status == DET_OK && evaluator->text.data != NULL ? evaluator->text.data : "";
    return status;
}

det_status det_coco_evaluator_table(det_coco_evaluator *evaluator, const char **text)
{
    DET_TRY_RETURN(begin_text(evaluator, __func__, text));
    return hand_out(evaluator,
                    det_coco_report_table(env_of(evaluator), evaluator->eval, &evaluator->text),
                    text);
}

det_status det_coco_evaluator_class_table(det_coco_evaluator *evaluator, const char **text)
{
    DET_TRY_RETURN(begin_text(evaluator, __func__, text));
    return hand_out(evaluator,
                    det_coco_report_classes(env_of(evaluator), evaluator->eval, &evaluator->text),
                    text);
}

det_status det_coco_evaluator_json(det_coco_evaluator *evaluator, int with_curves,
                                   const char **text)
{
    DET_TRY_RETURN(begin_text(evaluator, __func__, text));
    return hand_out(evaluator,
                    det_coco_report_json(env_of(evaluator), evaluator->eval, with_curves != 0,
                                         &evaluator->text),
                    text);
}
