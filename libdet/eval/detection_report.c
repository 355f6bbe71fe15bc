/* detection_report.c: see det/detection_report.h. */
#include "eval/detection_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "eval/report_match.h"
#include "support/mem.h"

void det_detection_report_settings_init(det_detection_report_settings *settings, size_t struct_size)
{
    static const det_detection_report_settings defaults = {.iou_threshold = .5,
                                                           .confusion_score = .5};
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

/* A detection of a class that is not left out. */
struct scored {
    double score;
    uint32_t rank; /* in the order of images: ties keep it */
    bool is_true;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

struct work {
    struct det_env *env;
    const struct det_coco_eval *eval;
    struct det_report_order order;
    uint8_t *labels;
    uint32_t *class_of;    /* [category] position by rising id */
    uint32_t *category_at; /* [class] */
    struct scored *list;
    double *precision, *recall;
};

/* The detections of a class by falling score. */
static size_t list_class(struct work *w, uint32_t category)
{
    size_t count = 0;
    for (size_t i = 0; i < w->order.dt_count; i++) {
        const struct det_coco_dt *dt = &w->eval->dts[w->order.dts[i]];
        if (dt->category == category && w->labels[i] != DET_LABEL_LEFT_OUT)
            w->list[count++] =
                (struct scored){dt->score, (uint32_t)i, w->labels[i] == DET_LABEL_TRUE};
    }
    if (count > 0)
        qsort(w->list, count, sizeof *w->list, by_score);
    return count;
}

static void find_best(det_class_report *class)
{
    class->best_f1 = class->best_precision = class->best_recall = class->objects > 0 ? 0 : -1;
    class->best_threshold = 1;
    for (size_t i = 0; class->objects > 0 && i < class->point_count; i++) {
        const det_curve_point *p = &class->points[i];
        const double sum = p->precision + p->recall;
        const double f1 = sum > 0 ? 2 * p->precision * p->recall / sum : 0;
        if (!(f1 > class->best_f1))
            continue;
        class->best_f1 = f1;
        class->best_precision = p->precision;
        class->best_recall = p->recall;
        /* Half way to the next score, so that rounding on the way to a detector changes nothing. */
        class->best_threshold =
            i + 1 < class->point_count ? (p->score + class->points[i + 1].score) / 2 : p->score;
    }
}

static det_status fill_curve(struct work *w, uint32_t category, det_class_report *class)
{
    const size_t count = list_class(w, category);
    det_curve_point *points = NULL;
    int64_t tp = 0, fp = 0;
    size_t used = 0;
    DET_TRY_RETURN(det_alloc(w->env, &points, count, sizeof *points, "curve"));
    class->points = points;
    for (size_t i = 0; i < count; i++) {
        tp += w->list[i].is_true;
        fp += !w->list[i].is_true;
        if (i + 1 < count && w->list[i + 1].score == w->list[i].score)
            continue;
        points[used++] = (det_curve_point){
            .score = w->list[i].score,
            .precision = (double)tp / (double)(tp + fp),
            .recall = class->objects > 0 ? (double)tp / (double)class->objects : -1,
            .true_positives = tp,
            .false_positives = fp,
        };
    }
    class->point_count = used;
    find_best(class);
    return DET_OK;
}

/* Each detection is a point of the curve, as in metrics.py. */
static void fill_voc(struct work *w, uint32_t category, det_class_report *class)
{
    const size_t count = list_class(w, category);
    double tp = 0;
    class->voc_ap = class->voc_ap_11 = class->voc_objects > 0 ? 0 : -1;
    if (class->voc_objects == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        tp += w->list[i].is_true;
        w->precision[i] = tp / (double)(i + 1);
        w->recall[i] = tp / (double)class->voc_objects;
    }
    for (size_t i = count; i-- > 1;)
        w->precision[i - 1] = fmax(w->precision[i - 1], w->precision[i]);
    for (size_t i = 0; i < count; i++)
        class->voc_ap += (w->recall[i] - (i > 0 ? w->recall[i - 1] : 0)) * w->precision[i];
    for (int step = 0; step <= 10; step++) {
        size_t i = 0;
        while (i < count && w->recall[i] < step / 10. - 1e-12)
            i++;
        class->voc_ap_11 += i < count ? w->precision[i] / 11 : 0;
    }
}

struct by_id {
    int64_t id;
    uint32_t category;
};

static int rising_id(const void *a, const void *b)
{
    const struct by_id *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static det_status order_classes(struct work *w, det_detection_report *report)
{
    const struct det_coco_eval *eval = w->eval;
    struct by_id *ids = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(w->env, &ids, eval->category_count, sizeof *ids, "classes"));
    DET_TRY(det_alloc(w->env, &w->class_of, eval->category_count, sizeof *w->class_of, "classes"));
    DET_TRY(det_alloc(w->env, &w->category_at, eval->category_count, sizeof *w->category_at,
                      "classes"));
    DET_TRY(det_alloc(w->env, &report->classes, eval->category_count, sizeof *report->classes,
                      "classes"));
    report->class_count = eval->category_count;
    for (size_t c = 0; c < eval->category_count; c++)
        ids[c] = (struct by_id){eval->categories[c].id, (uint32_t)c};
    if (eval->category_count > 0)
        qsort(ids, eval->category_count, sizeof *ids, rising_id);
    for (size_t k = 0; k < eval->category_count; k++) {
        char *name = NULL;
        w->class_of[ids[k].category] = (uint32_t)k;
        w->category_at[k] = ids[k].category;
        DET_TRY(det_strdup(w->env, &name, eval->categories[ids[k].category].name));
        report->classes[k].struct_size = sizeof report->classes[k];
        report->classes[k].id = ids[k].id;
        report->classes[k].name = name;
    }
fail:
    det_free(w->env, &ids);
    return status;
}

static void count_objects(const struct work *w, det_detection_report *report)
{
    for (size_t i = 0; i < w->eval->gt_count; i++) {
        const struct det_coco_gt *gt = &w->eval->gts[i];
        det_class_report *class = &report->classes[w->class_of[gt->category]];
        class->objects += !(gt->is_crowd || (w->eval->rules.honour_ignore && gt->ignore));
        class->voc_objects += !(gt->ignore || gt->is_group_of);
    }
    for (size_t i = 0; i < w->eval->dt_count; i++)
        report->classes[w->class_of[w->eval->dts[i].category]].detections++;
}

static void average(det_detection_report *report)
{
    size_t with_objects = 0;
    double area = 0, eleven = 0;
    for (size_t k = 0; k < report->class_count; k++) {
        if (report->classes[k].voc_objects == 0)
            continue;
        with_objects++;
        area += report->classes[k].voc_ap;
        eleven += report->classes[k].voc_ap_11;
    }
    report->voc_map = with_objects > 0 ? area / (double)with_objects : -1;
    report->voc_map_11 = with_objects > 0 ? eleven / (double)with_objects : -1;
}

static det_status fill(struct work *w, det_detection_report *report)
{
    struct det_env *env = w->env;
    const size_t side = w->eval->category_count + 1, detections = w->eval->dt_count;
    const double iou = report->settings.iou_threshold;
    DET_TRY_RETURN(order_classes(w, report));
    DET_TRY_RETURN(det_report_order_make(env, w->eval, &w->order));
    DET_TRY_RETURN(det_alloc(env, &w->labels, detections, 1, "report"));
    DET_TRY_RETURN(det_alloc(env, &w->list, detections, sizeof *w->list, "report"));
    DET_TRY_RETURN(det_alloc(env, &w->precision, detections, sizeof *w->precision, "report"));
    DET_TRY_RETURN(det_alloc(env, &w->recall, detections, sizeof *w->recall, "report"));
    DET_TRY_RETURN(det_alloc(env, &report->confusion, side, side * sizeof *report->confusion,
                             "confusion matrix"));
    count_objects(w, report);
    DET_TRY_RETURN(det_report_match(env, w->eval, &w->order, DET_MATCH_COCO, iou, w->labels));
    for (size_t k = 0; k < report->class_count; k++)
        DET_TRY_RETURN(fill_curve(w, w->category_at[k], &report->classes[k]));
    DET_TRY_RETURN(det_report_match(env, w->eval, &w->order, DET_MATCH_VOC, iou, w->labels));
    for (size_t k = 0; k < report->class_count; k++)
        fill_voc(w, w->category_at[k], &report->classes[k]);
    average(report);
    return det_report_confusion(env, w->eval, &w->order, iou, report->settings.confusion_score,
                                w->class_of, report->confusion);
}

det_status det_detection_report_create(det_context *context, const det_coco_evaluator *evaluator,
                                       const det_detection_report_settings *settings,
                                       det_detection_report **report)
{
    struct det_env *env = det_context_env(context);
    det_detection_report_settings chosen;
    if (report != NULL)
        *report = NULL;
    DET_NEED(env, context);
    DET_NEED(env, evaluator);
    DET_NEED(env, report);
    det_detection_report_settings_default(&chosen);
    DET_TRY_RETURN(DET_TAKE(env, det_detection_report_settings, &chosen, settings));
    if (!(chosen.iou_threshold > 0 && chosen.iou_threshold <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "iou_threshold is %g, expected above 0 and at most 1",
                        chosen.iou_threshold);
    det_detection_report *made = NULL;
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "report"));
    made->context = context;
    made->settings = chosen;
    struct work w = {.env = env, .eval = det_coco_evaluator_eval(evaluator)};
    const det_status status = fill(&w, made);
    det_report_order_free(env, &w.order);
    det_free(env, &w.labels);
    det_free(env, &w.class_of);
    det_free(env, &w.category_at);
    det_free(env, &w.list);
    det_free(env, &w.precision);
    det_free(env, &w.recall);
    if (status != DET_OK)
        det_detection_report_destroy(&made);
    *report = made;
    return status;
}

/* Names and points are ours, only the reader sees them as constant. */
static void release(struct det_env *env, const void *memory)
{
    void *own = NULL;
    memcpy(&own, &memory, sizeof own);
    det_free(env, &own);
}

void det_detection_report_destroy(det_detection_report **report)
{
    if (report == NULL || *report == NULL)
        return;
    struct det_env *env = det_context_env((*report)->context);
    for (size_t k = 0; (*report)->classes != NULL && k < (*report)->class_count; k++) {
        release(env, (*report)->classes[k].name);
        release(env, (*report)->classes[k].points);
    }
    det_free(env, &(*report)->classes);
    det_free(env, &(*report)->confusion);
    det_text_free(env, &(*report)->text);
    det_text_free(env, &(*report)->confusion_text);
    det_free(env, report);
}

int32_t det_detection_report_class_count(const det_detection_report *report)
{
    return report == NULL ? 0 : (int32_t)report->class_count;
}

const det_class_report *det_detection_report_class(const det_detection_report *report,
                                                   int32_t index)
{
    return index >= 0 && index < det_detection_report_class_count(report) ? &report->classes[index]
                                                                          : NULL;
}

double det_detection_report_voc_map(const det_detection_report *report)
{
    return report == NULL ? -1 : report->voc_map;
}

double det_detection_report_voc_map_11(const det_detection_report *report)
{
    return report == NULL ? -1 : report->voc_map_11;
}

const int64_t *det_detection_report_confusion(const det_detection_report *report)
{
    return report == NULL ? NULL : report->confusion;
}
