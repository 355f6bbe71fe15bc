/* engine_files.c: what tests/engines needs of libdet to compare other engines with it: models with
 * drawn weights, exported files, and libdet's own outputs as plain numbers.
 *
 *   engine-files model OUT.det SIZE CLASSES
 *   engine-files random OUT.det SEED [training]  a spec drawn by the seed; training: not folded
 *   engine-files quantise IN.det OUT.det HOSTILE [PICTURE HEIGHT WIDTH ...]
 *       all in 8 bits, ranges from these pictures of RGB bytes; HOSTILE: 0, or a seed by which
 *       scales and zeros are moved to where no training puts them
 *   engine-files export IN.det FORMAT FOLDER NAME [KEY=VALUE ...]
 *       outputs input precision batch score iou limit verify fast_nms onnx_opset: the fields of
 *       det_export_settings
 *   engine-files run IN.det PICTURE HEIGHT WIDTH OUT [score=S] [limit=N]
 *       PICTURE: RGB bytes; writes float32 OUT.input [H, W, 3], OUT.encodings [A, 4], OUT.scores
 *       and OUT.logits [A, K], OUT.detections [n, 6] (ymin xmin ymax xmax score id)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/context.h"
#include "base/pool.h"
#include "base/rng.h"
#include "det/det.h"
#include "devices/cpu/folded_net.h"
#include "export/export.h"
#include "model/input.h"
#include "model/quantised.h"
#include "support/clock.h"
#include "support/formula.h"
#include "support/io.h"
#include "support/mem.h"
#include "support/writer.h"

static int tell(det_context *context, det_status status)
{
    if (status != DET_OK)
        fprintf(stderr, "engine-files: %s: %s\n", det_status_text(status),
                det_context_error(context));
    return status == DET_OK ? 0 : 1;
}

static det_status write_model(det_context *context, const struct det_model_spec *spec,
                              const char *path, bool training)
{
    struct det_env *env = det_context_env(context);
    det_model *model = NULL;
    const char **names = NULL;
    det_status status = DET_OK;
    DET_TRY(det_alloc(env, &names, (size_t)spec->num_classes, sizeof *names, "names"));
    for (int32_t i = 0; i < spec->num_classes; i++)
        names[i] = i % 3 == 0 ? "Waschbär" : i % 3 == 1 ? "浣熊" : "\"raccoon\"";
    DET_TRY(det_model_create(env, spec, false, names, &model));
    formula_params(&model->graph, model->owned);
    model->step = 1234;
    DET_TRY(training ? det_model_save(context, model, path)
                     : det_model_export(context, model, path));
fail:
    det_free(env, &names);
    det_model_destroy(&model);
    return status;
}

static int32_t pick(struct det_rng *rng, int32_t low, int32_t high)
{
    return low + (int32_t)det_rng_below(rng, (uint32_t)(high - low + 1));
}

static bool coin(struct det_rng *rng)
{
    return det_rng_below(rng, 2) == 1;
}

/* Anything that training accepts, mostly small. */
static void draw_spec(uint64_t seed, struct det_model_spec *spec)
{
    static const float alphas[] = {0.35F, 0.5F, 0.75F, 1, 1.3F, 1.4F};
    struct det_rng rng;
    det_rng_init(&rng, seed, 0, 0);
    det_model_spec_default(spec, 320, coin(&rng) ? pick(&rng, 1, 4) : pick(&rng, 1, 1000));
    spec->input_height = coin(&rng) ? 32 * pick(&rng, 2, 10) : pick(&rng, 64, 330);
    spec->input_width = coin(&rng) ? spec->input_height : pick(&rng, 64, 330);
    if (seed % 100 == 0)
        spec->input_height = spec->input_width = 1280;
    if (pick(&rng, 0, 2) == 0) {
        spec->resize_mode = DET_RESIZE_KEEP_ASPECT;
        spec->min_dimension =
            spec->input_height < spec->input_width ? spec->input_height : spec->input_width;
        spec->max_dimension = spec->input_height + spec->input_width - spec->min_dimension;
        spec->input_height = spec->input_width = spec->max_dimension;
        spec->pad_to_max = true;
    }
    spec->pad_to_multiple = pick(&rng, 0, 3) == 0 ? 32 : 1;
    spec->depth_multiplier = alphas[pick(&rng, 0, 5)];
    spec->min_depth = coin(&rng) ? 16 : 8;
    spec->min_level = pick(&rng, 2, 4);
    spec->max_level = pick(&rng, 5, 8);
    spec->fpn_depth = 8 * pick(&rng, 2, 16);
    spec->fpn_depthwise = coin(&rng);
    spec->head_depth = 8 * pick(&rng, 2, 16);
    spec->head_layers = pick(&rng, 0, 4);
    spec->head_kernel = coin(&rng) ? 3 : pick(&rng, 1, 5);
    spec->head_depthwise = coin(&rng);
    spec->share_tower = coin(&rng);
    spec->scales_per_octave = pick(&rng, 1, 3);
    spec->aspect_count = pick(&rng, 1, 3);
    spec->max_total = spec->max_per_class = pick(&rng, 1, 100);
    spec->score_threshold = 0.05F;
}

/* --- 8 bits --- */

static int fill(void *user, size_t index, det_labelled_sample *sample)
{
    const det_image_view *pictures = user;
    sample->pixels = pictures[index];
    return 0;
}

/* The first channel of zeros, with a scale that is far from the others. */
static void make_channel_hostile(const struct det_param *param, struct det_q8_weights *weights)
{
    const size_t channels = (size_t)det_param_channels(param);
    for (size_t i = 0; i < param->count; i += channels)
        weights->values[i] = 0;
    weights->scales[0] *= 30;
}

/* Tensors between the input and the outputs: scales of another power of two, zeros at the ends. */
static void make_hostile(const det_model *model, uint64_t seed)
{
    const struct det_graph *g = &model->graph;
    struct det_rng rng;
    det_rng_init(&rng, seed, 0, 0);
    for (int32_t i = 0; i < g->param_count; i++)
        if (model->quantised->weights[i].values != NULL && pick(&rng, 0, 5) == 0)
            make_channel_hostile(&g->params[i], &model->quantised->weights[i]);
    for (int32_t i = 0; i < g->op_count; i++) {
        const int32_t out = g->ops[i].out;
        struct det_q8_tensor *t = &model->quantised->tensors[out];
        bool given = false;
        for (int32_t l = 0; l < g->levels; l++)
            given |= out == g->box_outputs[l] || out == g->class_outputs[l];
        if (given)
            continue;
        t->scale = ldexpf(t->scale, pick(&rng, -2, 2));
        const int32_t zeros[] = {-128, 127, 0, pick(&rng, -128, 127), t->zero, t->zero};
        t->zero = zeros[pick(&rng, 0, 5)];
    }
}

static det_status quantise_model(det_context *context, int argc, char **argv)
{
    enum { MOST = 32 };
    struct det_env *env = det_context_env(context);
    struct det_file_bytes files[MOST] = {0};
    det_image_view pictures[MOST] = {0};
    det_quantisation_settings settings;
    det_model *model = NULL, *quantised = NULL;
    size_t count = 0;
    det_status status = DET_OK;
    for (int i = 3; i + 2 < argc && count < MOST; i += 3, count++) {
        DET_TRY(det_file_read(env, argv[i], &files[count]));
        pictures[count] = (det_image_view){
            .pixels = files[count].data, .height = atoi(argv[i + 1]), .width = atoi(argv[i + 2])};
    }
    const det_sample_source source = {
        .struct_size = sizeof source, .count = count, .user = pictures, .fill = fill};
    det_quantisation_settings_default(&settings);
    settings.samples = &source;
    settings.observer = DET_OBSERVER_MINMAX;
    settings.floats = DET_QUANTISATION_FLOATS_NONE;
    DET_TRY(det_model_load(context, argv[0], &model));
    DET_TRY(det_model_quantise(context, model, &settings, &quantised));
    if (atoi(argv[2]) != 0)
        make_hostile(quantised, (uint64_t)atoll(argv[2]));
    DET_TRY(det_model_export(context, quantised, argv[1]));
fail:
    for (size_t i = 0; i < count; i++)
        det_file_release(&files[i]);
    det_model_destroy(&model);
    det_model_destroy(&quantised);
    return status;
}

static det_export_settings settings_of(int argc, char **argv)
{
    det_export_settings s;
    det_export_settings_default(&s);
    for (int i = 0; i < argc; i++) {
        const char *value = strchr(argv[i], '=');
        const size_t length = value == NULL ? 0 : (size_t)(value - argv[i]);
        const struct {
            const char *name;
            int32_t *to;
        } numbers[] = {{"batch", &s.batch},
                       {"verify", &s.verify},
                       {"limit", &s.max_detections},
                       {"fast_nms", &s.fast_nms},
                       {"onnx_opset", &s.onnx_opset}};
        if (value == NULL)
            continue;
        value++;
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++)
            if (strncmp(argv[i], numbers[n].name, length) == 0)
                *numbers[n].to = atoi(value);
        if (strncmp(argv[i], "outputs", length) == 0)
            s.outputs = (det_export_outputs)atoi(value);
        else if (strncmp(argv[i], "input", length) == 0)
            s.input = (det_export_input)atoi(value);
        else if (strncmp(argv[i], "precision", length) == 0)
            s.precision = (det_export_precision)atoi(value);
        else if (strncmp(argv[i], "score", length) == 0)
            s.score_threshold = (float)atof(value);
        else if (strncmp(argv[i], "iou", length) == 0)
            s.iou_threshold = (float)atof(value);
    }
    return s;
}

static det_status export_model(det_context *context, int argc, char **argv)
{
    det_model *model = NULL;
    det_export *exported = NULL;
    det_export_settings settings = settings_of(argc - 4, argv + 4);
    det_export_file file = {.struct_size = sizeof file};
    det_export_proof proof = {.struct_size = sizeof proof};
    det_status status = DET_OK;
    settings.name = argv[3];
    DET_TRY(det_model_load(context, argv[0], &model));
    const uint64_t before = det_clock_ns();
    DET_TRY(det_export_create(context, model, argv[1], &settings, &exported));
    DET_TRY(det_export_write(context, exported, argv[2]));
    const uint64_t took = det_clock_ns() - before;
    DET_TRY(det_export_proof_of(context, exported, &proof));
    size_t bytes = 0;
    for (size_t i = 0; i < det_export_file_count(exported); i++) {
        DET_TRY(det_export_file_at(context, exported, i, &file));
        bytes += file.bytes;
    }
    printf("bytes %zu seconds %.3f proved %d tensors %d encodings %.3g scores %.3g\n%s", bytes,
           (double)took / 1e9, proof.proved, proof.tensors, proof.encodings, proof.scores,
           det_export_signature(exported));
fail:
    det_export_destroy(&exported);
    det_model_destroy(&model);
    return status;
}

static det_status write_floats(struct det_env *env, const char *base, const char *suffix,
                               const float *values, size_t count)
{
    char *path = NULL;
    DET_TRY_RETURN(det_format(env, &path, "%s.%s", base, suffix));
    const det_status status = det_write_file(env, path, values, count * sizeof *values);
    det_free(env, &path);
    return status;
}

static det_status write_detections(struct det_env *env, const struct det_inference *inference,
                                   const float *logits, const float *encodings,
                                   const float window[4], const char *base)
{
    struct det_postprocess *postprocess = NULL;
    float(*rows)[6] = NULL;
    det_status status = DET_OK;
    DET_TRY(det_postprocess_create(env, &inference->postprocess,
                                   (const float(*)[4])inference->anchors, inference->anchor_count,
                                   inference->graph->class_slots - 1, NULL, &postprocess));
    const struct det_detections *found =
        det_postprocess_run(postprocess, logits, encodings, window);
    DET_TRY(det_alloc(env, &rows, (size_t)found->count, sizeof *rows, "detections"));
    for (int32_t i = 0; i < found->count; i++) {
        memcpy(rows[i], found->boxes[i], sizeof *found->boxes);
        rows[i][4] = found->score[i];
        rows[i][5] = (float)(found->class_index[i] + 1);
    }
    DET_TRY(write_floats(env, base, "detections", (const float *)rows, 6 * (size_t)found->count));
fail:
    det_free(env, &rows);
    det_postprocess_destroy(env, &postprocess);
    return status;
}

static det_status run_picture(det_context *context, int argc, char **argv)
{
    struct det_env *env = det_context_env(context);
    struct det_pool *pool = det_context_pool(context);
    const int32_t height = atoi(argv[2]), width = atoi(argv[3]);
    const det_export_settings settings = settings_of(argc - 5, argv + 5);
    const char *reason = NULL;
    det_model *model = NULL;
    struct det_inference inference = {0};
    struct det_folded_net net = {0};
    struct det_file_bytes picture = {0};
    struct det_resizer resizer = {0};
    float *scores = NULL;
    det_status status = DET_OK;
    DET_TRY(det_model_load(context, argv[0], &model));
    DET_TRY(det_file_read(env, argv[1], &picture));
    if (picture.bytes != (size_t)height * (size_t)width * 3) {
        status =
            det_fail(env, DET_STATUS_INVALID_ARGUMENT, "%s: not %d x %d", argv[1], height, width);
        goto fail;
    }
    DET_TRY(det_inference_open(env, model, &model->spec, DET_INFERENCE_FOLDED, &inference));
    if (settings.score_threshold >= 0)
        inference.postprocess.score_threshold = settings.score_threshold;
    if (settings.max_detections > 0)
        inference.postprocess.max_total_detections = settings.max_detections;
    DET_TRY(det_folded_net_create(env, inference.graph, inference.quantised, inference.params,
                                  det_ops_cpu("auto", &reason), pool, 1, &net));
    const struct det_tensor in = inference.graph->tensors[0];
    const struct det_frame frame = det_frame_of(&model->spec, height, width);
    const det_image_view view = {.pixels = picture.data, .width = width, .height = height};
    DET_TRY(det_input_fill(env, &resizer, pool, &view, &frame, net.input, in.height, in.width));
    DET_TRY(
        write_floats(env, argv[4], "input", net.input, (size_t)in.height * (size_t)in.width * 3));
    det_folded_net_forward(&net);
    const float *logits = net.logits, *encodings = net.encodings;
    const size_t anchors = (size_t)inference.anchor_count;
    const size_t slots = (size_t)inference.graph->class_slots, classes = slots - 1;
    DET_TRY(det_alloc(env, &scores, anchors * classes, sizeof *scores, "scores"));
    for (size_t i = 0; i < anchors * classes; i++)
        scores[i] = logits[i / classes * slots + i % classes + 1];
    DET_TRY(write_floats(env, argv[4], "logits", scores, anchors * classes));
    for (size_t i = 0; i < anchors * classes; i++)
        scores[i] = det_sigmoid(scores[i]);
    DET_TRY(write_floats(env, argv[4], "encodings", encodings, 4 * anchors));
    DET_TRY(write_floats(env, argv[4], "scores", scores, anchors * classes));
    DET_TRY(write_detections(env, &inference, logits, encodings, frame.window, argv[4]));
fail:
    det_free(env, &scores);
    det_resizer_free(env, &resizer);
    det_folded_net_free(env, &net);
    det_inference_close(env, &inference);
    det_file_release(&picture);
    det_model_destroy(&model);
    return status;
}

static det_status obey(det_context *context, int argc, char **argv)
{
    struct det_env *env = det_context_env(context);
    struct det_model_spec spec;
    if (argc == 5 && strcmp(argv[1], "model") == 0) {
        det_model_spec_default(&spec, atoi(argv[3]), atoi(argv[4]));
        return write_model(context, &spec, argv[2], false);
    }
    if (argc >= 4 && strcmp(argv[1], "random") == 0) {
        draw_spec((uint64_t)atoll(argv[3]), &spec);
        return write_model(context, &spec, argv[2], argc == 5 && strcmp(argv[4], "training") == 0);
    }
    if (argc >= 5 && strcmp(argv[1], "quantise") == 0)
        return quantise_model(context, argc - 2, argv + 2);
    if (argc >= 6 && strcmp(argv[1], "export") == 0)
        return export_model(context, argc - 2, argv + 2);
    if (argc >= 7 && strcmp(argv[1], "run") == 0)
        return run_picture(context, argc - 2, argv + 2);
    return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                    "usage: engine-files model|random|quantise|export|run ...");
}

int main(int argc, char **argv)
{
    det_context *context = NULL;
    if (det_context_create(&context, NULL) != DET_OK)
        return 1;
    const int result = tell(context, obey(context, argc, argv));
    det_context_destroy(&context);
    return result;
}
