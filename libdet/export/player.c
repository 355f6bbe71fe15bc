#include "export/player.h"

#include <string.h>

#include "data/resize.h"
#include "export/program.h"
#include "model/input.h"
#include "support/mem.h"

struct det_export_player {
    struct det_pool *pool;
    const struct det_ops *ops;
    struct det_model_spec spec;
    struct det_program program;
    struct det_inference inference;
    struct det_resizer resizer;
    struct det_postprocess *postprocess;
    float *frame;  /* [height][width][3] of the program's float input */
    float *logits; /* [A][K + 1] */
};

bool det_export_is_program(const det_export *exported)
{
    return exported->writer->read != NULL;
}

/* Of a float input; [N, 3, H, W] where the channels stand first. */
static bool channels_first(const struct det_program *program)
{
    return program->input_shape[1] == 3;
}

/* Of any size, as it is. */
static bool takes_picture(const struct det_program *program)
{
    return program->input_whole && program->input_shape[1] < 0;
}

static det_status check_input(struct det_env *env, const struct det_program *p)
{
    bool fits =
        p->input_dims == 4 && (!p->input_whole || takes_picture(p) || p->input_shape[3] == 3);
    for (int32_t d = 1; fits && !takes_picture(p) && d < 4; d++)
        fits = p->input_shape[d] > 0 && p->input_shape[d] <= INT32_MAX;
    return fits ? DET_OK
                : det_fail(env, DET_STATUS_MISMATCH,
                           "the input is neither pictures nor floats of a fixed size");
}

static det_status open_program(struct det_env *env, struct det_export_player *p,
                               const det_export *exported, const det_model *model)
{
    DET_TRY_RETURN(exported->writer->read(env, exported, &p->program));
    DET_TRY_RETURN(det_program_find_logits(env, &p->program));
    DET_TRY_RETURN(check_input(env, &p->program));
    DET_TRY_RETURN(
        det_inference_open(env, model, &model->spec, DET_INFERENCE_FOLDED, &p->inference));
    const struct det_inference *inference = &p->inference;
    const size_t slots = (size_t)inference->graph->class_slots;
    DET_TRY_RETURN(det_alloc(env, &p->logits, (size_t)inference->anchor_count * slots,
                             sizeof *p->logits, "logits"));
    if (!takes_picture(&p->program)) {
        size_t floats = (size_t)p->program.input_shape[1];
        for (int32_t d = 2; d < 4; d++)
            if (!det_size_mul(floats, (size_t)p->program.input_shape[d], &floats))
                return det_fail(env, DET_STATUS_MISMATCH, "the input is too large");
        DET_TRY_RETURN(det_alloc(env, &p->frame, floats, sizeof *p->frame, "input"));
    }
    return det_postprocess_create(env, &inference->postprocess,
                                  (const float(*)[4])inference->anchors, inference->anchor_count,
                                  (int32_t)slots - 1, p->pool, &p->postprocess);
}

det_status det_export_player_create(struct det_env *env, struct det_pool *pool,
                                    const det_export *exported, const det_model *model,
                                    struct det_export_player **player)
{
    const char *reason = NULL;
    struct det_export_player *p = NULL;
    *player = NULL;
    DET_TRY_RETURN(det_alloc(env, &p, 1, sizeof *p, "exported network"));
    p->pool = pool;
    p->ops = det_ops_cpu("auto", &reason);
    p->spec = model->spec;
    det_program_init(&p->program);
    const det_status status = open_program(env, p, exported, model);
    if (status != DET_OK) {
        det_export_player_destroy(env, &p);
        return det_fail_prefix(env, status, "%s", exported->files[0].name);
    }
    *player = p;
    return DET_OK;
}

void det_export_player_destroy(struct det_env *env, struct det_export_player **player)
{
    struct det_export_player *p = *player;
    if (p == NULL)
        return;
    det_program_free(env, &p->program);
    det_inference_close(env, &p->inference);
    det_resizer_free(env, &p->resizer);
    det_postprocess_destroy(env, &p->postprocess);
    det_free(env, &p->frame);
    det_free(env, &p->logits);
    det_free(env, player);
}

/* The picture itself, in the first place of the batch. */
static det_status fill_pixels(struct det_env *env, const struct det_export_player *p,
                              const struct det_image *image, struct det_array *input)
{
    const int64_t count = p->program.input_shape[0];
    const int64_t shape[4] = {count < 1 ? 1 : count, image->height, image->width, 3};
    DET_TRY_RETURN(det_array_create(env, true, 4, shape, "picture", input));
    const size_t values = (size_t)image->height * (size_t)image->width * 3;
    for (size_t i = 0; i < values; i++)
        input->wholes[i] = image->rgb[i];
    return DET_OK;
}

/* The network's input in p->frame, as detection makes it. */
static det_status fill_frame(struct det_env *env, struct det_export_player *p,
                             const struct det_image *image, const struct det_frame *frame,
                             int32_t height, int32_t width)
{
    const det_image_view view = {
        .pixels = image->rgb, .width = image->width, .height = image->height};
    if (frame->height > height || frame->width > width)
        return det_fail(env, DET_STATUS_MISMATCH, "the input is smaller than the network's");
    return det_input_fill(env, &p->resizer, p->pool, &view, frame, p->frame, height, width);
}

/* Its grey levels. */
static det_status fill_levels(struct det_env *env, struct det_export_player *p,
                              const struct det_image *image, const struct det_frame *frame,
                              struct det_array *input)
{
    const int64_t *asked = p->program.input_shape;
    const int64_t shape[4] = {asked[0] < 1 ? 1 : asked[0], asked[1], asked[2], 3};
    DET_TRY_RETURN(det_array_create(env, true, 4, shape, "picture", input));
    DET_TRY_RETURN(fill_frame(env, p, image, frame, (int32_t)asked[1], (int32_t)asked[2]));
    for (size_t i = 0; i < (size_t)asked[1] * (size_t)asked[2] * 3; i++)
        input->wholes[i] = (int64_t)det_q8_grey_level(p->frame[i]) + p->program.input_black;
    return DET_OK;
}

static det_status fill_floats(struct det_env *env, struct det_export_player *p,
                              const struct det_image *image, const struct det_frame *frame,
                              struct det_array *input)
{
    const int64_t *asked = p->program.input_shape;
    const bool first = channels_first(&p->program);
    const int32_t height = (int32_t)asked[first ? 2 : 1], width = (int32_t)asked[first ? 3 : 2];
    const int64_t shape[4] = {asked[0] < 1 ? 1 : asked[0], asked[1], asked[2], asked[3]};
    DET_TRY_RETURN(det_array_create(env, false, 4, shape, "picture", input));
    DET_TRY_RETURN(fill_frame(env, p, image, frame, height, width));
    det_array_put_frame(input, 0, first, p->frame, width);
    return DET_OK;
}

/* The first image of a probe, [anchors, *columns]. */
static det_status first_of(struct det_env *env, const struct det_export_player *p,
                           const struct det_array probes[DET_PROBES], enum det_probe probe,
                           const float **values, int64_t *columns)
{
    const struct det_array *array = &probes[probe];
    *columns = array->dims > 0 ? array->shape[array->dims - 1] : 0;
    if (array->whole || array->dims < 2 || *columns < 1 ||
        array->count < (size_t)p->inference.anchor_count * (size_t)*columns ||
        array->shape[array->dims - 2] != p->inference.anchor_count)
        return det_fail(env, DET_STATUS_MISMATCH, "it has other anchors than the network");
    *values = array->floats;
    return DET_OK;
}

static det_status take_outputs(struct det_env *env, struct det_export_player *p,
                               const struct det_array probes[DET_PROBES], const float window[4],
                               const struct det_detections **found)
{
    const float *logits = NULL, *encodings = NULL;
    int64_t classes = 0, four = 0;
    const int32_t slots = p->inference.graph->class_slots;
    DET_TRY_RETURN(first_of(env, p, probes, DET_PROBE_LOGITS, &logits, &classes));
    DET_TRY_RETURN(first_of(env, p, probes, DET_PROBE_ENCODINGS, &encodings, &four));
    if (four != 4 || (classes != slots && classes != slots - 1))
        return det_fail(env, DET_STATUS_MISMATCH, "it has other classes than the network");
    det_program_widen_logits(logits, (int32_t)classes, p->inference.anchor_count, slots, p->logits);
    *found = det_postprocess_run(p->postprocess, p->logits, encodings, window);
    return DET_OK;
}

det_status det_export_player_run(struct det_env *env, struct det_export_player *player,
                                 const struct det_image *image, const struct det_detections **found)
{
    struct det_export_player *p = player;
    const struct det_frame frame = det_frame_of(&p->spec, image->height, image->width);
    struct det_array input = {0}, probes[DET_PROBES];
    memset(probes, 0, sizeof probes);
    det_status status = DET_OK;
    DET_TRY(takes_picture(&p->program) ? fill_pixels(env, p, image, &input)
            : p->program.input_whole   ? fill_levels(env, p, image, &frame, &input)
                                       : fill_floats(env, p, image, &frame, &input));
    DET_TRY(det_program_run(env, &p->program, p->ops, p->pool, &input, probes));
    DET_TRY(take_outputs(env, p, probes, frame.window, found));
fail:
    det_array_free(env, &input);
    for (int i = 0; i < DET_PROBES; i++)
        det_array_free(env, &probes[i]);
    return status;
}
