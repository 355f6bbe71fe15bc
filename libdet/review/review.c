#include "review/review.h"

#include "base/arguments.h"
#include "base/context.h"
#include "support/mem.h"

/* Detections below it are no rows whatever is usual. */
#define LEAST_SCORE 0.02

static const det_review_settings defaults = {
    .struct_size = sizeof defaults, .least_score = 0.2, .proposed_score = 0.5};

void det_review_settings_init(det_review_settings *settings, size_t struct_size)
{
    det_init_struct(settings, struct_size, &defaults, sizeof defaults);
}

const char *det_review_kind_name(det_review_kind kind)
{
    static const char *const names[] = {"agrees", "missing", "spurious", "renamed", "moved"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "";
}

static struct det_env *env_of(const det_review *review)
{
    return review != NULL ? review->env : NULL;
}

static det_status check(struct det_env *env, const det_review_settings *s)
{
    if (!(s->least_score > 0 && s->least_score <= 1) ||
        !(s->proposed_score > 0 && s->proposed_score <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "det_review_settings: least_score %g, proposed_score %g: expected above 0, "
                        "to 1",
                        s->least_score, s->proposed_score);
    return DET_OK;
}

det_status det_review_count_usable(struct det_env *env, const det_annotation_set *set,
                                   size_t *usable)
{
    *usable = 0;
    for (size_t i = 0; i < set->set.image_count; i++)
        *usable += !set->set.images[i].broken;
    return *usable > 0 ? DET_OK
                       : det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                                  "review: there is no picture that can be used");
}

det_status det_review_progress(const struct det_review *review, size_t done, size_t total)
{
    const det_review_settings *s = &review->settings;
    return s->progress != NULL && s->progress(s->user, done, total) != 0
               ? det_fail(review->env, DET_STATUS_CANCELLED,
                          "review: stopped at picture %zu of %zu", done, total)
               : DET_OK;
}

static det_status look_at_all(struct det_review *review, const det_model *model)
{
    struct det_env *env = review->env;
    const struct det_annotations *set = &review->set->set;
    struct det_look look;
    size_t usable = 0;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_review_count_usable(env, review->set, &usable));
    DET_TRY_RETURN(det_look_open(env, review->context, model, set, &look));
    DET_TRY(det_alloc(env, &review->features, usable, DET_FEATURES * sizeof *review->features,
                      "features"));
    for (size_t i = 0; i < set->image_count; i++) {
        if (set->images[i].broken)
            continue;
        DET_TRY(det_review_progress(review, review->feature_count, usable));
        DET_TRY(det_look_at(env, &look, set, &set->images[i],
                            review->features + review->feature_count * DET_FEATURES));
        review->feature_count++;
        DET_TRY(det_review_match(env, &look, set, i, LEAST_SCORE, &review->list));
    }
fail:
    det_look_close(env, &look);
    return status;
}

static det_status fill(struct det_review *review, const det_model *model)
{
    struct det_env *env = review->env;
    const int32_t classes = (int32_t)review->set->set.classes.count;
    DET_TRY_RETURN(
        det_alloc(env, &review->usual, (size_t)classes, sizeof *review->usual, "usual scores"));
    DET_TRY_RETURN(look_at_all(review, model));
    DET_TRY_RETURN(det_review_usual_scores(env, &review->list, classes, review->usual));
    return det_review_judge(env, &review->list, review->usual, review->settings.least_score);
}

det_status det_review_create(det_context *context, const det_model *model, det_annotation_set *set,
                             const det_review_settings *settings, det_review **review)
{
    struct det_env *env = det_context_env(context);
    struct det_review *made = NULL;
    det_review_settings taken = defaults;
    if (review != NULL)
        *review = NULL;
    DET_NEED(env, context);
    DET_NEED(env, model);
    DET_NEED(env, set);
    DET_NEED(env, review);
    DET_TRY_RETURN(DET_TAKE(env, det_review_settings, &taken, settings));
    DET_TRY_RETURN(check(env, &taken));
    DET_TRY_RETURN(det_annotation_set_need(set, __func__));
    DET_TRY_RETURN(det_annotations_gather(env, &set->set));
    DET_TRY_RETURN(det_alloc(env, &made, 1, sizeof *made, "review"));
    made->context = context;
    made->env = env;
    made->set = set;
    made->settings = taken;
    made->images = set->set.image_count;
    made->objects = det_annotation_set_object_count(set);
    const det_status status = fill(made, model);
    if (status != DET_OK)
        det_review_destroy(&made);
    *review = made;
    return status;
}

static bool is_as_it_was(const det_annotation_set *set, size_t images)
{
    return set->is_resolved && set->set.image_count == images;
}

det_status det_review_need_sets(const struct det_review *r)
{
    const bool same = is_as_it_was(r->set, r->images) &&
                      det_annotation_set_object_count(r->set) == r->objects &&
                      (r->unlabelled == NULL || is_as_it_was(r->unlabelled, r->unlabelled_images));
    return same ? DET_OK
                : det_fail(r->env, DET_STATUS_INVALID_ARGUMENT,
                           "review: the set has changed since: it needs another review");
}

void det_review_forget_choice(struct det_review *review)
{
    for (size_t i = 0; i < review->chosen_count; i++)
        det_free(review->env, &review->chosen[i].detections);
    det_free(review->env, &review->chosen);
    review->chosen_count = 0;
    review->unlabelled = NULL;
}

void det_review_destroy(det_review **review)
{
    if (review == NULL || *review == NULL)
        return;
    struct det_review *r = *review;
    struct det_env *env = r->env;
    det_review_forget_choice(r);
    det_free(env, &r->list.rows);
    det_free(env, &r->usual);
    det_free(env, &r->features);
    det_text_free(env, &r->text);
    det_free(env, review);
}

size_t det_review_row_count(const det_review *review)
{
    return review != NULL ? review->list.count : 0;
}

det_status det_review_row_at(const det_review *review, size_t index, det_review_row *row)
{
    struct det_env *env = env_of(review);
    DET_NEED(env, review);
    DET_NEED_REPORT(env, det_review_row, row);
    if (index >= review->list.count)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT, "review: row %zu of %zu", index,
                        review->list.count);
    const struct det_evidence *e = &review->list.rows[index];
    det_review_row filled = {.struct_size = sizeof filled,
                             .kind = e->kind,
                             .suspicion = e->suspicion,
                             .image = e->image,
                             .object = e->object,
                             .class_id = e->class_index + 1,
                             .detected_class_id = e->found_class + 1,
                             .score = e->score,
                             .iou = e->iou};
    for (int c = 0; c < 4; c++) {
        filled.box[c] = e->box[c];
        filled.detected_box[c] = e->found_box[c];
    }
    det_fill_report(row, &filled, sizeof filled);
    return DET_OK;
}
