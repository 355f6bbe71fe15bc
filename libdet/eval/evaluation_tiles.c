#include "eval/evaluation_tiles.h"

#include <string.h>

#include "devices/context.h"
#include "support/mem.h"

struct det_evaluation_tiles {
    det_detector *detector;
    struct det_image image;
    struct det_ground_truth truth;
    struct det_detections found;
    size_t box_capacity, class_capacity, score_capacity;
};

det_status det_evaluation_tiles_create(det_context *context, const det_model *model,
                                       const det_tile_settings *settings,
                                       struct det_evaluation_tiles **out)
{
    struct det_env *env = det_context_env(context);
    det_detector_settings detecting;
    struct det_evaluation_tiles *t = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &t, 1, sizeof *t, "tiles"));
    det_detector_settings_default(&detecting);
    detecting.score_threshold = 0; /* the model's own */
    detecting.tiles = settings;
    const det_status status = det_detector_create(context, model, &detecting, &t->detector);
    if (status != DET_OK)
        det_free(env, &t);
    *out = t;
    return status;
}

void det_evaluation_tiles_destroy(struct det_env *env, struct det_evaluation_tiles **out)
{
    struct det_evaluation_tiles *t = *out;
    if (t == NULL)
        return;
    det_detector_destroy(&t->detector);
    det_image_free(env, &t->image);
    det_ground_truth_free(env, &t->truth);
    det_free(env, &t->found.boxes);
    det_free(env, &t->found.class_index);
    det_free(env, &t->found.score);
    det_free(env, out);
}

static det_status take(struct det_env *env, struct det_evaluation_tiles *t,
                       const det_detection *list, size_t count)
{
    struct det_detections *found = &t->found;
    const size_t room = count + 1; /* arrays that are there, also of nothing */
    DET_TRY_RETURN(
        det_grow(env, &found->boxes, &t->box_capacity, room, sizeof *found->boxes, "detections"));
    DET_TRY_RETURN(det_grow(env, &found->class_index, &t->class_capacity, room,
                            sizeof *found->class_index, "detections"));
    DET_TRY_RETURN(
        det_grow(env, &found->score, &t->score_capacity, room, sizeof *found->score, "detections"));
    for (size_t i = 0; i < count; i++) {
        const float box[4] = {list[i].ymin, list[i].xmin, list[i].ymax, list[i].xmax};
        memcpy(found->boxes[i], box, sizeof box);
        found->class_index[i] = list[i].class_id - 1;
        found->score[i] = list[i].score;
    }
    found->count = (int32_t)count;
    return DET_OK;
}

det_status det_evaluation_tiles_run(struct det_env *env, struct det_evaluation_tiles *t,
                                    const struct det_dataset *dataset, size_t index,
                                    const struct det_detections **found)
{
    const det_detection *list = NULL;
    size_t count = 0;
    DET_TRY_RETURN(det_dataset_load(env, dataset, index, &t->image, &t->truth));
    const det_image_view view = {
        .pixels = t->image.rgb, .width = t->image.width, .height = t->image.height};
    DET_TRY_RETURN(det_detector_run(t->detector, &view, &list, &count));
    DET_TRY_RETURN(take(env, t, list, count));
    *found = &t->found;
    return DET_OK;
}
