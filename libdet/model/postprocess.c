#include "model/postprocess.h"

#include <math.h>
#include <string.h>

#include "model/nms.h"
#include "support/mem.h"

#define CHUNK 2048 /* anchors a decoding task takes */

struct det_postprocess {
    struct det_postprocess_settings settings;
    int32_t anchor_count, class_count;
    int32_t per_class; /* most detections of a class: min(max_detections_per_class, A) */
    const float (*anchors)[4];
    struct det_pool *pool;
    float *logit_floors; /* [K]: a logit below it has no score above the class's threshold */
    float (*boxes)[4];   /* [A] decoded, of the anchors in `alive` only */
    int32_t *alive; /* [A]: each chunk's anchors with a logit from the floor up, from its begin */
    int32_t *alive_count; /* [chunks] */
    uint64_t *heaps;      /* [threads][A] candidates of the class at hand */
    int32_t *kept;        /* [K][per_class] anchors */
    int32_t *kept_count;
    uint64_t *merged; /* [K * per_class] */
    struct det_detections result;
    const float *logits, *encodings; /* of the present run */
};

void det_postprocess_settings_default(struct det_postprocess_settings *settings)
{
    *settings = (struct det_postprocess_settings){
        .score_threshold = 1e-8f,
        .iou_threshold = 0.6f,
        .max_detections_per_class = 100,
        .max_total_detections = 100,
        .change_coordinate_frame = true,
        .coder = DET_BOX_CODER_DEFAULT,
    };
}

float det_sigmoid(float logit)
{
    return 1 / (1 + expf(-logit));
}

/* The logit of a score a little below the threshold: det_sigmoid() is right within a few units in
 * the last place. */
static float floor_of(float score_threshold)
{
    if (!(score_threshold > 0))
        return -INFINITY;
    if (score_threshold >= 1)
        return INFINITY;
    const double t = (1 - 1e-5) * (double)score_threshold;
    return (float)(log(t) - log1p(-t) - 1e-4);
}

static float threshold_of(const struct det_postprocess_settings *settings, int32_t class_index)
{
    return settings->class_thresholds != NULL ? settings->class_thresholds[class_index]
                                              : settings->score_threshold;
}

static void set_floors(struct det_postprocess *p)
{
    for (int32_t c = 0; c < p->class_count; c++)
        p->logit_floors[c] = floor_of(threshold_of(&p->settings, c));
}

static int32_t chunks_of(const struct det_postprocess *p)
{
    return (p->anchor_count - 1) / CHUNK + 1;
}

det_status det_postprocess_settings_check(struct det_env *env,
                                          const struct det_postprocess_settings *settings)
{
    if (settings->max_detections_per_class < 1 || settings->max_total_detections < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "post-processing: got max_detections_per_class %d, max_total_detections "
                        "%d, expected at least 1",
                        settings->max_detections_per_class, settings->max_total_detections);
    if (!(settings->iou_threshold >= 0 && settings->iou_threshold <= 1))
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "post-processing: iou_threshold is %g, expected 0 to 1",
                        (double)settings->iou_threshold);
    return DET_OK;
}

det_status det_postprocess_create(struct det_env *env,
                                  const struct det_postprocess_settings *settings,
                                  const float (*anchors)[4], int32_t anchor_count,
                                  int32_t class_count, struct det_pool *pool,
                                  struct det_postprocess **out)
{
    *out = NULL;
    if (anchor_count < 1 || class_count < 1)
        return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                        "post-processing: got %d anchors, %d classes, expected at least 1 each",
                        anchor_count, class_count);
    DET_TRY_RETURN(det_postprocess_settings_check(env, settings));
    det_status status = DET_OK;
    struct det_postprocess *p = NULL;
    DET_TRY_RETURN(det_alloc(env, &p, 1, sizeof *p, "post-processing"));
    p->settings = *settings;
    p->anchors = anchors;
    p->anchor_count = anchor_count;
    p->class_count = class_count;
    p->pool = pool;
    p->per_class = settings->max_detections_per_class < anchor_count
                       ? settings->max_detections_per_class
                       : anchor_count;
    const size_t a = (size_t)anchor_count, threads = (size_t)det_pool_threads(pool);
    const size_t kept = (size_t)class_count * (size_t)p->per_class;
    if (kept > UINT32_MAX) {
        status = det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                          "post-processing: %d classes times max_detections_per_class %d is too "
                          "many",
                          class_count, p->per_class);
        goto fail;
    }
    const size_t total = (size_t)settings->max_total_detections < kept
                             ? (size_t)settings->max_total_detections
                             : kept;
    DET_TRY(det_alloc(env, &p->logit_floors, (size_t)class_count, sizeof *p->logit_floors,
                      "post-processing"));
    DET_TRY(det_alloc(env, &p->boxes, a, sizeof *p->boxes, "post-processing"));
    DET_TRY(det_alloc(env, &p->alive, a, sizeof *p->alive, "post-processing"));
    DET_TRY(det_alloc(env, &p->alive_count, (size_t)chunks_of(p), sizeof *p->alive_count,
                      "post-processing"));
    DET_TRY(det_alloc(env, &p->heaps, a * threads, sizeof *p->heaps, "post-processing"));
    DET_TRY(det_alloc(env, &p->kept, kept, sizeof *p->kept, "post-processing"));
    DET_TRY(det_alloc(env, &p->kept_count, (size_t)class_count, sizeof *p->kept_count,
                      "post-processing"));
    DET_TRY(det_alloc(env, &p->merged, kept, sizeof *p->merged, "post-processing"));
    DET_TRY(det_alloc(env, &p->result.boxes, total, sizeof *p->result.boxes, "detections"));
    DET_TRY(det_alloc(env, &p->result.class_index, total, sizeof(int32_t), "detections"));
    DET_TRY(det_alloc(env, &p->result.score, total, sizeof(float), "detections"));
    DET_TRY(det_alloc(env, &p->result.anchor, total, sizeof(int32_t), "detections"));
    set_floors(p);
    *out = p;
    return DET_OK;
fail:
    det_postprocess_destroy(env, &p);
    return status;
}

void det_postprocess_destroy(struct det_env *env, struct det_postprocess **out)
{
    struct det_postprocess *p = *out;
    if (p == NULL)
        return;
    det_free(env, &p->logit_floors);
    det_free(env, &p->boxes);
    det_free(env, &p->alive);
    det_free(env, &p->alive_count);
    det_free(env, &p->heaps);
    det_free(env, &p->kept);
    det_free(env, &p->kept_count);
    det_free(env, &p->merged);
    det_free(env, &p->result.boxes);
    det_free(env, &p->result.class_index);
    det_free(env, &p->result.score);
    det_free(env, &p->result.anchor);
    det_free(env, out);
}

size_t det_postprocess_bytes(const struct det_postprocess *p)
{
    const size_t a = (size_t)p->anchor_count, classes = (size_t)p->class_count;
    const size_t kept = classes * (size_t)p->per_class;
    const size_t most = (size_t)p->settings.max_total_detections;
    return sizeof *p + a * (sizeof *p->boxes + sizeof *p->alive) +
           (size_t)chunks_of(p) * sizeof *p->alive_count +
           a * (size_t)det_pool_threads(p->pool) * sizeof *p->heaps +
           kept * (sizeof *p->kept + sizeof *p->merged) +
           classes * (sizeof *p->kept_count + sizeof *p->logit_floors) +
           (most < kept ? most : kept) *
               (sizeof *p->result.boxes + 2 * sizeof(int32_t) + sizeof(float));
}

/* Also for a NaN, which is no candidate later. */
static bool may_pass(const struct det_postprocess *p, int32_t anchor)
{
    const float *logits = p->logits + (size_t)anchor * ((size_t)p->class_count + 1) + 1;
    for (int32_t c = 0; c < p->class_count; c++)
        if (!(logits[c] < p->logit_floors[c]))
            return true;
    return false;
}

/* Most anchors are background for every class: they are neither decoded nor looked at again. */
static void decode_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    struct det_postprocess *p = argument;
    const int32_t begin = task * CHUNK;
    const int32_t end = p->anchor_count - begin > CHUNK ? begin + CHUNK : p->anchor_count;
    int32_t count = 0;
    for (int32_t a = begin; a < end; a++) {
        if (!may_pass(p, a))
            continue;
        p->alive[begin + count++] = a;
        det_box_decode(&p->settings.coder, p->encodings + 4 * (size_t)a, p->anchors[a],
                       p->boxes[a]);
    }
    p->alive_count[task] = count;
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static float most(float a, float b)
{
    return a > b ? a : b;
}

/* The candidates of a class among a chunk's anchors; how many there are now. */
static size_t gather(const struct det_postprocess *p, int32_t class_index, int32_t chunk,
                     uint64_t *heap, size_t candidates)
{
    const size_t columns = (size_t)p->class_count + 1;
    const float threshold = threshold_of(&p->settings, class_index);
    const float logit_floor = p->logit_floors[class_index];
    for (int32_t i = 0; i < p->alive_count[chunk]; i++) {
        const int32_t a = p->alive[chunk * CHUNK + i];
        const float logit = p->logits[(size_t)a * columns + (size_t)class_index + 1];
        if (logit < logit_floor)
            continue;
        const float score = det_sigmoid(logit);
        const float *box = p->boxes[a];
        if (score > threshold && isfinite(box[0]) && isfinite(box[1]) && isfinite(box[2]) &&
            isfinite(box[3]))
            heap[candidates++] = det_score_key(score, (uint32_t)a);
    }
    return candidates;
}

static void class_task(void *argument, int32_t class_index, int32_t worker)
{
    struct det_postprocess *p = argument;
    uint64_t *heap = p->heaps + (size_t)worker * (size_t)p->anchor_count;
    size_t candidates = 0;
    for (int32_t chunk = 0; chunk < chunks_of(p); chunk++)
        candidates = gather(p, class_index, chunk, heap, candidates);
    int32_t *kept = p->kept + (size_t)class_index * (size_t)p->per_class;
    p->kept_count[class_index] = det_nms(heap, candidates, (const float(*)[4])p->boxes,
                                         p->settings.iou_threshold, p->per_class, kept);
}

static float clip(float value, float low, float high)
{
    return most(least(value, high), low);
}

/* False when nothing of the box is left. */
static bool place_box(const struct det_postprocess *p, const float box[4], const float window[4],
                      float out[4])
{
    const float clipped[4] = {
        clip(box[0], window[0], window[2]), clip(box[1], window[1], window[3]),
        clip(box[2], window[0], window[2]), clip(box[3], window[1], window[3])};
    if (!((clipped[2] - clipped[0]) * (clipped[3] - clipped[1]) > 0))
        return false;
    memcpy(out, clipped, sizeof clipped);
    if (p->settings.change_coordinate_frame) {
        const float to_y = 1 / (window[2] - window[0]), to_x = 1 / (window[3] - window[1]);
        out[0] = (clipped[0] - window[0]) * to_y;
        out[1] = (clipped[1] - window[1]) * to_x;
        out[2] = (clipped[2] - window[0]) * to_y;
        out[3] = (clipped[3] - window[1]) * to_x;
    }
    return true;
}

const struct det_detections *det_postprocess_run(struct det_postprocess *p, const float *logits,
                                                 const float *encodings, const float window[4])
{
    p->logits = logits;
    p->encodings = encodings;
    if (p->settings.class_thresholds != NULL)
        set_floors(p);
    det_pool_run(p->pool, chunks_of(p), decode_task, p);
    det_pool_run(p->pool, p->class_count, class_task, p);

    /* Places in `kept` rise with class, then with rank, which is the order of ties. */
    size_t total = 0;
    const size_t columns = (size_t)p->class_count + 1;
    for (int32_t c = 0; c < p->class_count; c++)
        for (int32_t k = 0; k < p->kept_count[c]; k++) {
            const size_t place = (size_t)c * (size_t)p->per_class + (size_t)k;
            const size_t row = (size_t)p->kept[place] * columns;
            p->merged[total++] =
                det_score_key(det_sigmoid(logits[row + (size_t)c + 1]), (uint32_t)place);
        }
    det_heap_make(p->merged, total);
    struct det_detections *result = &p->result;
    result->count = 0;
    while (total > 0 && result->count < p->settings.max_total_detections) {
        const uint64_t key = det_heap_pop(p->merged, &total);
        const uint32_t place = det_key_index(key);
        const int32_t anchor = p->kept[place], at = result->count;
        if (!place_box(p, p->boxes[anchor], window, result->boxes[at]))
            continue;
        result->class_index[at] = (int32_t)(place / (uint32_t)p->per_class);
        result->score[at] = det_key_score(key);
        result->anchor[at] = anchor;
        result->count++;
    }
    return result;
}

void det_top_score(const float *logits, int32_t anchor_count, int32_t class_count, float *score,
                   int32_t *class_index)
{
    float top = -INFINITY;
    *class_index = 0;
    for (int32_t a = 0; a < anchor_count; a++) {
        const float *row = logits + (size_t)a * ((size_t)class_count + 1) + 1;
        for (int32_t c = 0; c < class_count; c++) {
            if (row[c] > top) {
                top = row[c];
                *class_index = c;
            }
        }
    }
    *score = det_sigmoid(top);
}
