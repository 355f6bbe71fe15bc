#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "devices/cpu/folded_net.h"
#include "export/proof.h"
#include "model/input.h"
#include "support/mem.h"

#define LIMIT     1e-4
#define BOX_LIMIT 1e-4 /* a tenth of a pixel of a picture of 1,000 */

enum {
    FREE_BATCH = 2,
    ROUNDINGS = 2, /* times what rounding makes */
};

/* What is run, and what came out. */
struct run {
    struct det_env *env;
    struct det_pool *pool;
    const struct det_export_job *job;
    struct det_program *program;
    const struct det_ops *ops;
    int32_t batch, height, width; /* of the picture */
    uint8_t *pixels;              /* [batch][height][width][3], with input IMAGE */
    float *frames;                /* [batch][H][W][3] the network's input */
    struct det_array input;       /* the program's */
    struct det_frame frame;
    struct det_array probes[DET_PROBES];
    struct det_folded_net net;
    struct det_folded_net unrounded; /* of a model in 8 bits the same in float32 */
    struct det_postprocess *postprocess;
    float *logits; /* [A][K + 1] of the program */
    bool exact;    /* it computes in 8 bits: nothing differs */
    det_export_proof *proof;
};

/* --- the picture --- */

static det_status wrong_input(const struct run *r)
{
    return det_fail(r->env, DET_STATUS_MISMATCH, "the input's type or shape is not what was asked");
}

/* A file's dimension must be the size or, where that is allowed, free. */
static bool is_size(int64_t got, int32_t wanted)
{
    return wanted == 0 ? got == -1 : got == wanted;
}

static bool is_byte_input(det_export_input input)
{
    return input == DET_EXPORT_INPUT_UINT8 || input == DET_EXPORT_INPUT_INT8;
}

/* Decides the picture's size and checks what the file says of its input. */
static det_status choose_sizes(struct run *r)
{
    const struct det_program *p = r->program;
    const struct det_tensor in = r->job->inference.graph->tensors[0];
    const det_export_input kind = r->job->settings.input;
    const int32_t asked = r->job->settings.batch;
    r->batch = asked == 0 ? FREE_BATCH : asked;
    if (is_byte_input(kind)) {
        r->height = r->job->model->spec.input_height;
        r->width = r->job->model->spec.input_width;
        const bool fits = p->input_whole && p->input_dims == 4 &&
                          is_size(p->input_shape[0], asked) && p->input_shape[1] == r->height &&
                          p->input_shape[2] == r->width && p->input_shape[3] == 3 &&
                          p->input_black == (kind == DET_EXPORT_INPUT_INT8 ? -128 : 0);
        return fits ? DET_OK : wrong_input(r);
    }
    if (kind == DET_EXPORT_INPUT_IMAGE) {
        /* Neither square nor of the frame's proportions. */
        r->height = p->input_shape[1] == -1 ? in.height * 3 / 4 + 1 : (int32_t)p->input_shape[1];
        r->width = p->input_shape[2] == -1 ? in.width * 5 / 4 : (int32_t)p->input_shape[2];
        const bool fits = p->input_whole && p->input_dims == 4 &&
                          is_size(p->input_shape[0], asked) && p->input_shape[3] == 3 &&
                          r->height > 0 && r->width > 0;
        return fits ? DET_OK : wrong_input(r);
    }
    const bool first = kind == DET_EXPORT_INPUT_FLOAT_NCHW;
    /* What pad_to_multiple adds may be the file's affair. */
    const struct det_model_spec *spec = &r->job->model->spec;
    const bool pads = p->input_dims == 4 && p->input_shape[first ? 2 : 1] == spec->input_height &&
                      p->input_shape[first ? 3 : 2] == spec->input_width;
    r->height = pads ? spec->input_height : in.height;
    r->width = pads ? spec->input_width : in.width;
    const int32_t wanted[4] = {asked, first ? 3 : r->height, first ? r->height : r->width,
                               first ? r->width : 3};
    bool fits = !p->input_whole && p->input_dims == 4;
    for (int d = 0; fits && d < 4; d++)
        fits = is_size(p->input_shape[d], wanted[d]);
    return fits ? DET_OK : wrong_input(r);
}

static int32_t between(struct det_rng *rng, int32_t low, int32_t high)
{
    return low + (int32_t)det_rng_below(rng, (uint32_t)(high - low + 1));
}

/* Rectangles of all sizes and some noise: no two parts of it are alike. */
static void draw(struct run *r, uint8_t *pixels)
{
    enum { RECTANGLES = 24, NOISE = 24 };
    struct det_rng rng;
    det_rng_init(&rng, 1, 0, 0);
    const size_t row = (size_t)r->width * 3, images = (size_t)r->batch;
    for (size_t i = 0; i < images * RECTANGLES; i++) {
        uint8_t *image = pixels + i / RECTANGLES * (size_t)r->height * row;
        const bool whole = i % RECTANGLES == 0;
        const int32_t top = whole ? 0 : between(&rng, 0, r->height - 1);
        const int32_t left = whole ? 0 : between(&rng, 0, r->width - 1);
        const int32_t bottom = whole ? r->height - 1 : between(&rng, top, r->height - 1);
        const int32_t right = whole ? r->width - 1 : between(&rng, left, r->width - 1);
        int32_t color[3];
        for (int c = 0; c < 3; c++)
            color[c] = between(&rng, 0, 255 - NOISE);
        for (int32_t y = top; y <= bottom; y++)
            for (int32_t x = left; x <= right; x++)
                for (int c = 0; c < 3; c++)
                    image[(size_t)y * row + (size_t)x * 3 + (size_t)c] =
                        (uint8_t)(color[c] + between(&rng, 0, NOISE));
    }
}

/* The network's input, as detection makes it of the picture. */
static det_status fill_frames(struct run *r)
{
    const struct det_tensor in = r->job->inference.graph->tensors[0];
    const size_t frame = (size_t)in.height * (size_t)in.width * 3;
    const size_t image = (size_t)r->height * (size_t)r->width * 3;
    struct det_resizer resizer = {0};
    det_status status = DET_OK;
    r->frame = (struct det_frame){r->height, r->width, {0, 0, 1, 1}};
    if (r->job->settings.input == DET_EXPORT_INPUT_IMAGE)
        r->frame = det_frame_of(&r->job->model->spec, r->height, r->width);
    for (int32_t n = 0; status == DET_OK && n < r->batch; n++) {
        const det_image_view view = {
            .pixels = r->pixels + (size_t)n * image, .width = r->width, .height = r->height};
        status = det_input_fill(r->env, &resizer, r->pool, &view, &r->frame,
                                r->frames + (size_t)n * frame, in.height, in.width);
    }
    det_resizer_free(r->env, &resizer);
    return status;
}

static void fill_input(struct run *r)
{
    const struct det_tensor in = r->job->inference.graph->tensors[0];
    const size_t frame = (size_t)in.height * (size_t)in.width * 3;
    const bool first = r->job->settings.input == DET_EXPORT_INPUT_FLOAT_NCHW;
    for (size_t i = 0; r->input.whole && i < r->input.count; i++)
        r->input.wholes[i] = r->pixels[i] + r->program->input_black;
    for (int32_t n = 0; !r->input.whole && n < r->batch; n++)
        det_array_put_frame(&r->input, n, first, r->frames + (size_t)n * frame, in.width);
}

static det_status make_picture(struct run *r)
{
    const struct det_tensor in = r->job->inference.graph->tensors[0];
    DET_TRY_RETURN(choose_sizes(r));
    const bool first = r->job->settings.input == DET_EXPORT_INPUT_FLOAT_NCHW;
    const int64_t shape[4] = {r->batch, first ? 3 : r->height, first ? r->height : r->width,
                              first ? r->width : 3};
    DET_TRY_RETURN(
        det_array_create(r->env, r->program->input_whole, 4, shape, "picture", &r->input));
    DET_TRY_RETURN(det_alloc(r->env, &r->pixels, r->input.count, 1, "picture"));
    DET_TRY_RETURN(det_alloc(r->env, &r->frames,
                             (size_t)r->batch * (size_t)in.height * (size_t)in.width * 3,
                             sizeof *r->frames, "picture"));
    draw(r, r->pixels);
    DET_TRY_RETURN(fill_frames(r));
    fill_input(r);
    return DET_OK;
}

/* --- comparing --- */

/* NaN is a difference without bounds. */
static double difference(const float *a, const float *b, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= most))
            most = isnan(d) ? (double)INFINITY : d;
    }
    return most;
}

static double largest(const float *values, size_t count)
{
    double most = 1;
    for (size_t i = 0; i < count; i++)
        if (fabs((double)values[i]) > most)
            most = fabs((double)values[i]);
    return most;
}

/* Values of an image of a probe, whose shape must be [batch, A, columns]. */
static det_status image_of(const struct run *r, enum det_probe probe, const char *what, int32_t n,
                           int32_t columns, const float **values)
{
    const struct det_array *array = &r->probes[probe];
    const int32_t anchors = r->job->inference.anchor_count;
    *values = NULL;
    if (array->whole || array->dims != 3 || array->shape[0] != r->batch ||
        array->shape[1] != anchors || array->shape[2] != columns)
        return det_fail(r->env, DET_STATUS_MISMATCH, "%s: the shape is not [%d, %d, %d]", what,
                        r->batch, anchors, columns);
    *values = array->floats + (size_t)n * (size_t)anchors * (size_t)columns;
    return DET_OK;
}

/* Columns of scores or logits: with or without the background. */
static int32_t columns_of(const struct run *r, enum det_probe probe)
{
    const int32_t slots = r->job->inference.graph->class_slots;
    return r->probes[probe].dims == 3 && r->probes[probe].shape[2] == slots ? slots : slots - 1;
}

/* What one image came to. */
struct outputs {
    const float *encodings; /* [A, 4] */
    const float *scores;    /* [A, columns]; where nothing may differ, logits */
    int32_t columns;
    bool are_logits;
};

static float score_of(const struct run *r, const struct outputs *o, size_t anchor, int32_t c)
{
    const int32_t skip = r->job->inference.graph->class_slots - o->columns;
    const float value = o->scores[anchor * (size_t)o->columns + (size_t)(c - skip)];
    return o->are_logits && !r->exact ? det_sigmoid(value) : value;
}

/* How far apart outputs are. */
struct apart {
    double most, squares;
};
struct distance {
    struct apart encodings, scores;
};

static void add_difference(struct apart *apart, float a, float b)
{
    const double d = difference(&a, &b, 1);
    apart->most = d > apart->most ? d : apart->most;
    apart->squares += d * d;
}

static void add_outputs(const struct run *r, struct distance *distance, const struct outputs *a,
                        const struct outputs *b)
{
    const size_t anchors = (size_t)r->job->inference.anchor_count;
    for (size_t i = 0; i < 4 * anchors; i++)
        add_difference(&distance->encodings, a->encodings[i], b->encodings[i]);
    for (size_t i = 0; i < anchors; i++)
        for (int32_t c = 1; c < r->job->inference.graph->class_slots; c++)
            add_difference(&distance->scores, score_of(r, a, i, c), score_of(r, b, i, c));
}

static struct outputs run_network(const struct run *r, struct det_folded_net *net, int32_t n)
{
    const struct det_tensor in = r->job->inference.graph->tensors[0];
    const size_t frame = (size_t)in.height * (size_t)in.width * 3;
    memcpy(net->input, r->frames + (size_t)n * frame, frame * sizeof *r->frames);
    det_folded_net_forward(net);
    return (struct outputs){net->encodings, net->logits, r->job->inference.graph->class_slots,
                            true};
}

/* Image n of the program and of the network with these weights; and of the network and its form
 * without rounding, where there is one. */
static det_status compare_outputs(struct run *r, int32_t n, struct distance *file,
                                  struct distance *rounding)
{
    const enum det_probe probe = r->exact ? DET_PROBE_LOGITS : DET_PROBE_SCORES;
    struct outputs got = {.columns = columns_of(r, probe), .are_logits = r->exact};
    DET_TRY_RETURN(image_of(r, DET_PROBE_ENCODINGS, "box encodings", n, 4, &got.encodings));
    DET_TRY_RETURN(image_of(r, probe, "scores", n, got.columns, &got.scores));
    const struct outputs own = run_network(r, &r->net, n);
    add_outputs(r, file, &own, &got);
    if (r->unrounded.input != NULL) {
        const struct outputs exact = run_network(r, &r->unrounded, n);
        add_outputs(r, rounding, &own, &exact);
    }
    return DET_OK;
}

static det_status check_limits(const struct run *r, const struct distance *file)
{
    const struct det_array *array = &r->probes[DET_PROBE_ENCODINGS];
    const double score_limit = r->exact ? 0 : LIMIT;
    const double limit = score_limit * largest(array->floats, array->count);
    if (file->encodings.most <= limit && file->scores.most <= score_limit)
        return DET_OK;
    return det_fail(r->env, DET_STATUS_MISMATCH,
                    "on a test picture box encodings differ from libdet's by up to %.3g, %s by "
                    "up to %.3g; allowed are %.3g and %.3g",
                    file->encodings.most, r->exact ? "logits" : "scores", file->scores.most, limit,
                    score_limit);
}

static double mean_of(const struct run *r, const struct apart *apart, int32_t columns)
{
    const double count = (double)r->batch * r->job->inference.anchor_count * columns;
    return sqrt(apart->squares / count);
}

/* Of 8 bits, by the root of the mean squared difference (proof.h). */
static det_status check_rounding(const struct run *r, const struct distance *file,
                                 const struct distance *rounding)
{
    const int32_t classes = r->job->inference.graph->class_slots - 1;
    const double encodings = mean_of(r, &file->encodings, 4);
    const double scores = mean_of(r, &file->scores, classes);
    const double most_encodings = LIMIT + ROUNDINGS * mean_of(r, &rounding->encodings, 4);
    const double most_scores = LIMIT + ROUNDINGS * mean_of(r, &rounding->scores, classes);
    if (encodings <= most_encodings && scores <= most_scores)
        return DET_OK;
    return det_fail(r->env, DET_STATUS_MISMATCH,
                    "on a test picture box encodings differ from libdet's by %.3g in the mean, "
                    "scores by %.3g; what rounding to 8 bits makes allows %.3g and %.3g",
                    encodings, scores, most_encodings, most_scores);
}

/* All images by the network with these weights. */
static det_status compare_network(struct run *r, const float *params, struct distance *file,
                                  struct distance *rounding)
{
    const struct det_inference *inference = &r->job->inference;
    det_status status = DET_OK;
    *file = *rounding = (struct distance){0};
    DET_TRY(det_folded_net_create(r->env, inference->graph, inference->quantised,
                                  r->exact ? inference->params : params, r->ops, r->pool, 1,
                                  &r->net));
    if (inference->quantised != NULL && !r->exact)
        DET_TRY(det_folded_net_create(r->env, inference->graph, NULL, params, r->ops, r->pool, 1,
                                      &r->unrounded));
    for (int32_t n = 0; n < r->batch; n++)
        DET_TRY(compare_outputs(r, n, file, rounding));
fail:
    det_folded_net_free(r->env, &r->net);
    det_folded_net_free(r->env, &r->unrounded);
    return status;
}

/* --- boxes and detections: of the program's own encodings and logits, so that the order of scores
 * that are nearly equal is the same --- */

static det_status compare_boxes(struct run *r, int32_t n, const float *encodings)
{
    const struct det_inference *inference = &r->job->inference;
    const float *boxes = NULL;
    DET_TRY_RETURN(image_of(r, DET_PROBE_BOXES, "boxes", n, 4, &boxes));
    for (int32_t a = 0; a < inference->anchor_count; a++) {
        float own[4];
        det_box_decode(&inference->postprocess.coder, encodings + 4 * (size_t)a,
                       inference->anchors[a], own);
        const double d = difference(own, boxes + 4 * (size_t)a, 4);
        if (!(d <= BOX_LIMIT * largest(own, 4)))
            return det_fail(r->env, DET_STATUS_MISMATCH,
                            "the box of anchor %d differs from libdet's by %.3g", a, d);
    }
    return DET_OK;
}

/* One detection of the program. */
struct found {
    float box[4];
    float score;
    int64_t class_index;
};

static bool shape_is(const struct det_array *array, int32_t dims, int64_t n, int64_t t)
{
    return array->dims >= dims && array->shape[0] == n && (dims < 2 || array->shape[1] == t);
}

static struct found found_at(const struct run *r, size_t place)
{
    const struct det_array *classes = &r->probes[DET_PROBE_DETECTION_CLASSES];
    struct found f = {.score = r->probes[DET_PROBE_DETECTION_SCORES].floats[place]};
    memcpy(f.box, r->probes[DET_PROBE_DETECTION_BOXES].floats + 4 * place, sizeof f.box);
    f.class_index = classes->whole ? classes->wholes[place] : lrintf(classes->floats[place]);
    f.class_index -= r->program->first_class;
    if (r->program->places_boxes)
        return f;
    for (int i = 0; i < 4; i++)
        f.box[i] = f.box[i] < 0 ? 0 : f.box[i] > 1 ? 1 : f.box[i];
    return f;
}

static det_status compare_detections(struct run *r, int32_t n, const float *encodings)
{
    const struct det_array *counts = &r->probes[DET_PROBE_DETECTION_COUNTS];
    const struct det_array *scores = &r->probes[DET_PROBE_DETECTION_SCORES];
    const struct det_array *boxes = &r->probes[DET_PROBE_DETECTION_BOXES];
    const int64_t most = scores->dims < 2 ? 0 : scores->shape[1];
    if (!shape_is(counts, 1, r->batch, 0) || !shape_is(scores, 2, r->batch, most) ||
        !shape_is(&r->probes[DET_PROBE_DETECTION_CLASSES], 2, r->batch, most) ||
        !shape_is(boxes, 2, r->batch, most) || boxes->whole || scores->whole ||
        boxes->count != 4 * scores->count)
        return det_fail(r->env, DET_STATUS_MISMATCH,
                        "detections: counts, boxes, classes and scores do not go together");
    const int64_t count = counts->whole ? counts->wholes[n] : lrintf(counts->floats[n]);
    const struct det_detections *own =
        det_postprocess_run(r->postprocess, r->logits, encodings, r->frame.window);
    int32_t at = 0;
    for (int64_t i = 0; i < count && i < most; i++) {
        const struct found f = found_at(r, (size_t)(n * most + i));
        if (!r->program->places_boxes && !((f.box[2] - f.box[0]) * (f.box[3] - f.box[1]) > 0))
            continue;
        if (at >= own->count || f.class_index != own->class_index[at] ||
            !(difference(&f.score, &own->score[at], 1) <= LIMIT) ||
            !(difference(f.box, own->boxes[at], 4) <= BOX_LIMIT))
            return det_fail(r->env, DET_STATUS_MISMATCH,
                            "detection %d of %lld on a test picture is not libdet's: class %lld, "
                            "score %.6g; of %d the same there has class %d, score %.6g",
                            at, (long long)count, (long long)f.class_index, (double)f.score,
                            own->count, at < own->count ? own->class_index[at] : -1,
                            at < own->count ? (double)own->score[at] : 0.0);
        at++;
    }
    /* A file that does not drop boxes has less room for others. */
    const bool full = count >= most && !r->program->places_boxes;
    if (count > most || (at < own->count && !full))
        return det_fail(r->env, DET_STATUS_MISMATCH,
                        "%d detections on a test picture, libdet has %d", at, own->count);
    return DET_OK;
}

/* The program's logits of an image, with a column for the background. */
static det_status take_logits(struct run *r, int32_t n)
{
    const struct det_inference *inference = &r->job->inference;
    const int32_t columns = columns_of(r, DET_PROBE_LOGITS);
    const float *from = NULL;
    DET_TRY_RETURN(image_of(r, DET_PROBE_LOGITS, "logits", n, columns, &from));
    det_program_widen_logits(from, columns, inference->anchor_count, inference->graph->class_slots,
                             r->logits);
    return DET_OK;
}

static det_status compare_image(struct run *r, int32_t n)
{
    const float *encodings = NULL;
    DET_TRY_RETURN(image_of(r, DET_PROBE_ENCODINGS, "box encodings", n, 4, &encodings));
    if (r->program->probes[DET_PROBE_BOXES] >= 0)
        DET_TRY_RETURN(compare_boxes(r, n, encodings));
    if (r->program->probes[DET_PROBE_DETECTION_BOXES] < 0)
        return DET_OK;
    DET_TRY_RETURN(take_logits(r, n));
    return compare_detections(r, n, encodings);
}

static det_status compare_all(struct run *r, const float *params)
{
    const struct det_inference *inference = &r->job->inference;
    struct distance file, rounding;
    const float *values = NULL;
    DET_TRY_RETURN(image_of(r, DET_PROBE_ENCODINGS, "box encodings", 0, 4, &values));
    DET_TRY_RETURN(compare_network(r, params, &file, &rounding));
    DET_TRY_RETURN(inference->quantised != NULL && !r->exact ? check_rounding(r, &file, &rounding)
                                                             : check_limits(r, &file));
    if (r->job->settings.precision != DET_EXPORT_FLOAT32)
        DET_TRY_RETURN(compare_network(r, inference->params, &file, &rounding));
    r->proof->encodings = file.encodings.most;
    r->proof->scores = file.scores.most;
    DET_TRY_RETURN(det_postprocess_create(
        r->env, &inference->postprocess, (const float(*)[4])inference->anchors,
        inference->anchor_count, inference->graph->class_slots - 1, r->pool, &r->postprocess));
    DET_TRY_RETURN(det_alloc(
        r->env, &r->logits, (size_t)inference->anchor_count * (size_t)inference->graph->class_slots,
        sizeof *r->logits, "proof"));
    for (int32_t n = 0; n < r->batch; n++)
        DET_TRY_RETURN(compare_image(r, n));
    return DET_OK;
}

det_status det_proof_run(struct det_env *env, struct det_pool *pool,
                         const struct det_export_job *job, struct det_program *program,
                         const float *params, det_export_proof *proof)
{
    det_status status = DET_OK;
    const char *reason = NULL;
    struct run r = {.env = env,
                    .pool = pool,
                    .job = job,
                    .program = program,
                    .ops = det_ops_cpu("auto", &reason),
                    .proof = proof};
    DET_TRY(det_program_find_logits(env, program));
    for (int32_t n = 0; n < program->node_count; n++)
        r.exact |= program->nodes[n].kind == DET_NODE_Q8_CONV;
    DET_TRY(make_picture(&r));
    DET_TRY(det_program_run(env, program, r.ops, pool, &r.input, r.probes));
    DET_TRY(compare_all(&r, params));
fail:
    for (int i = 0; i < DET_PROBES; i++)
        det_array_free(env, &r.probes[i]);
    det_array_free(env, &r.input);
    det_free(env, &r.pixels);
    det_free(env, &r.frames);
    det_free(env, &r.logits);
    det_postprocess_destroy(env, &r.postprocess);
    return status;
}
