#include "eval/evaluation_figures.h"

#include "devices/context.h"
#include "eval/evaluation_pictures.h"
#include "eval/evaluation_summary.h"
#include "eval/results_file.h"
#include "model/model.h"
#include "model/regularization.h"
#include "support/mem.h"

struct det_evaluation_figures {
    struct det_evaluation_figures_settings settings;
    int64_t images;
    double localization, classification;      /* sums over images */
    struct det_evaluation_pictures *pictures; /* NULL: none, or given up */
};

/* A full disk must not cost the figures. */
static void give_up_pictures(struct det_env *env, struct det_evaluation_figures *f)
{
    det_log(env, DET_LOG_WARNING, "%s; no more pictures of this evaluation are written",
            env->error);
    det_forget_error(env);
    det_evaluation_pictures_destroy(env, &f->pictures);
}

static det_status open_pictures(struct det_evaluation_figures *f)
{
    const struct det_evaluation_figures_settings *s = &f->settings;
    if (s->asked->summaries == NULL || !s->asked->pictures)
        return DET_OK;
    const struct det_evaluation_pictures_settings pictures = {
        .dataset = &s->data->dataset,
        .class_names = s->data->class_names,
        .config = &s->config->eval,
        .writer = s->asked->summaries,
        .step = s->model->step,
    };
    return det_evaluation_pictures_create(&s->context->env, &pictures, &f->pictures);
}

static det_status open_evaluator(const struct det_evaluation_figures_settings *s)
{
    const det_evaluation_settings *asked = s->asked;
    det_evaluation *e = s->evaluation;
    det_coco_settings coco;
    det_coco_settings_default(&coco);
    coco.max_dets = asked->max_dets;
    coco.max_det_count = asked->max_det_count;
    coco.honour_ignore = asked->honour_ignore;
    /* Chosen numbers are for every row; with pycocotools' own the first asks for 100 as it does. */
    coco.first_row_follows_max_dets = asked->max_dets != NULL;
    DET_TRY_RETURN(det_coco_evaluator_create(s->context, &coco, &e->evaluator));
    for (int32_t c = 0; c < s->model->class_count; c++)
        if (s->data->is_category[c])
            DET_TRY_RETURN(
                det_coco_evaluator_add_category(e->evaluator, c + 1, s->data->class_names[c]));
    return DET_OK;
}

det_status det_evaluation_figures_open(const struct det_evaluation_figures_settings *settings,
                                       struct det_evaluation_figures **out)
{
    struct det_env *env = &settings->context->env;
    struct det_evaluation_figures *f = NULL;
    det_status status = DET_OK;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &f, 1, sizeof *f, "evaluation"));
    f->settings = *settings;
    DET_TRY(open_evaluator(&f->settings));
    DET_TRY(open_pictures(f));
    *out = f;
    return DET_OK;
fail:
    det_evaluation_figures_close(&f);
    return status;
}

void det_evaluation_figures_close(struct det_evaluation_figures **out)
{
    struct det_evaluation_figures *f = *out;
    if (f == NULL)
        return;
    struct det_env *env = &f->settings.context->env;
    det_evaluation_pictures_destroy(env, &f->pictures);
    det_free(env, out);
}

/* ymin, xmin, ymax, xmax normalised -> x, y, width, height in pixels, with the API's roundings:
 * products and differences in float32. */
static void to_coco(const float box[4], int32_t height, int32_t width, double coco[4])
{
    const float ymin = box[0] * (float)height, xmin = box[1] * (float)width;
    const float ymax = box[2] * (float)height, xmax = box[3] * (float)width;
    coco[0] = (double)xmin;
    coco[1] = (double)ymin;
    coco[2] = (double)(xmax - xmin);
    coco[3] = (double)(ymax - ymin);
}

static det_status add_truth(const struct det_evaluation_figures *f,
                            const struct det_evaluation_found *found)
{
    det_coco_evaluator *evaluator = f->settings.evaluation->evaluator;
    const struct det_ground_truth *truth = &found->truth;
    DET_TRY_RETURN(det_coco_evaluator_add_image(evaluator, found->image));
    for (int32_t g = 0; g < truth->count; g++) {
        double coco[4];
        if (!f->settings.data->is_category[truth->class_index[g]])
            continue;
        to_coco(truth->boxes[g], found->height, found->width, coco);
        const double area = truth->area_px[g] > 0 ? (double)truth->area_px[g] : coco[2] * coco[3];
        const det_coco_object object = {
            .struct_size = sizeof object,
            .image_id = found->image,
            .category_id = truth->class_index[g] + 1,
            .box_px = {coco[0], coco[1], coco[2], coco[3]},
            .area_px2 = area,
            .is_crowd = truth->is_crowd[g],
            .difficult = truth->difficult[g],
            .group_of = truth->group_of[g],
        };
        DET_TRY_RETURN(det_coco_evaluator_add_object(evaluator, &object));
    }
    return DET_OK;
}

static det_status add_detections(const struct det_evaluation_figures *f,
                                 const struct det_evaluation_found *found)
{
    det_coco_evaluator *evaluator = f->settings.evaluation->evaluator;
    const struct det_detections *detections = &found->detections;
    for (int32_t i = 0; i < detections->count; i++) {
        const int32_t class_index = detections->class_index[i];
        double coco[4];
        if (!f->settings.data->is_category[class_index])
            continue;
        to_coco(detections->boxes[i], found->height, found->width, coco);
        DET_TRY_RETURN(det_coco_evaluator_add_detection(evaluator, found->image, class_index + 1,
                                                        coco, (double)detections->score[i]));
    }
    return DET_OK;
}

det_status det_evaluation_figures_take(struct det_evaluation_figures *f,
                                       const struct det_evaluation_found *found)
{
    struct det_env *env = &f->settings.context->env;
    DET_TRY_RETURN(add_truth(f, found));
    DET_TRY_RETURN(add_detections(f, found));
    f->images++;
    f->localization += found->localization;
    f->classification += found->classification;
    if (f->pictures != NULL && det_evaluation_pictures_take(env, f->pictures, (size_t)found->image,
                                                            &found->detections) != DET_OK)
        give_up_pictures(env, f);
    return DET_OK;
}

det_status det_evaluation_figures_compute(struct det_evaluation_figures *f)
{
    const det_model *model = f->settings.model;
    det_evaluation *e = f->settings.evaluation;
    det_evaluation_losses *losses = &e->losses;
    losses->localization = f->localization / (double)f->images;
    losses->classification = f->classification / (double)f->images;
    if (!model->graph.folded)
        losses->regularization =
            det_regularization_loss(&model->graph, f->settings.context->pool, model->params);
    losses->total = losses->localization + losses->classification + losses->regularization;
    return det_coco_evaluator_compute(e->evaluator, &e->coco);
}

static det_status add_to_results(const struct det_evaluation_figures_settings *s)
{
    struct det_env *env = &s->context->env;
    const det_model *model = s->model;
    struct det_text name = {0};
    det_evaluation_settings meant = *s->asked;
    const char *data = meant.samples == NULL ? det_pipeline_config_eval_path(s->config, 0) : NULL;
    meant.as_exported =
        model->graph.folded || (meant.as_exported && det_evaluation_forms_differ(model));
    det_status status = det_evaluation_append_run_name(env, &meant, &name);
    if (status == DET_OK)
        status = det_results_add(env, meant.results,
                                 &(struct det_results_row){
                                     .run = name.data,
                                     .form = meant.as_exported ? "exported" : "api",
                                     .data = data != NULL ? data : "",
                                     .step = model->step,
                                     .coco = s->evaluation->coco,
                                     .losses = &s->evaluation->losses,
                                 });
    det_text_free(env, &name);
    return status;
}

/* A full disk must not cost the figures here either. */
void det_evaluation_figures_write(struct det_evaluation_figures *f)
{
    const struct det_evaluation_figures_settings *s = &f->settings;
    const det_evaluation *e = s->evaluation;
    struct det_env *env = &s->context->env;
    if (f->pictures != NULL && det_evaluation_pictures_finish(env, f->pictures) != DET_OK)
        give_up_pictures(env, f);
    if (s->asked->summaries != NULL &&
        det_evaluation_summary_write(s->context, s->asked->summaries, s->model->step, e->evaluator,
                                     e->coco, &e->losses) != DET_OK) {
        det_log(env, DET_LOG_WARNING, "%s; summaries of this evaluation are incomplete",
                env->error);
        det_forget_error(env);
    }
    if (s->asked->results != NULL && add_to_results(s) != DET_OK) {
        det_log(env, DET_LOG_WARNING, "%s; the results have no row of this evaluation", env->error);
        det_forget_error(env);
    }
}
