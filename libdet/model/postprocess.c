#include "model/postprocess.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

#define CHUNK 2048 /* anchors a decoding task takes */

struct det_postprocess {
    struct det_postprocess_settings settings;
    int32_t anchor_count, class_count;
    int32_t per_class; /* most detections of a class: min(max_detections_per_class, A) */
    const float (*anchors)[4];
    struct det_pool *pool;
    float logit_floor; /* a logit below it has no score above the threshold */
    float (*boxes)[4]; /* [A] decoded, of the anchors in `alive` only */
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

/* The logit of a score a little below the threshold: det_sigmoid() is right within a few units in the last place. */
static float floor_of(float score_threshold)
{
    if (!(score_threshold > 0))
        return -INFINITY;
    const double t = (1 - 1e-5) * fmin((double)score_threshold, 1);
    return (float)(log(t) - log1p(-t) - 1e-4);
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
    p->logit_floor = floor_of(settings->score_threshold);
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
           kept * (sizeof *p->kept + sizeof *p->merged) + classes * sizeof *p->kept_count +
           (most < kept ? most : kept) *
               (sizeof *p->result.boxes + 2 * sizeof(int32_t) + sizeof(float));
}

/* Keys: score's bits above, the complement of an index below. Scores are never negative, so that
 * their bits rise with them; of equal scores the lower index makes the larger key. */
static uint64_t make_key(float score, uint32_t index)
{
    uint32_t bits = 0;
    memcpy(&bits, &score, sizeof bits);
    return (uint64_t)bits << 32 | (UINT32_MAX - index);
}

static uint32_t key_index(uint64_t key)
{
    return UINT32_MAX - (uint32_t)key;
}

static float key_score(uint64_t key)
{
    const uint32_t bits = (uint32_t)(key >> 32);
    float score = 0;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* Restores a max-heap of `count` keys whose root `at` may be too small. */
static void sift_down(uint64_t *heap, size_t count, size_t at)
{
    const uint64_t key = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] > heap[child])
            child++;
        if (heap[child] <= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

static void make_heap(uint64_t *heap, size_t count)
{
    for (size_t i = count / 2; i-- > 0;)
        sift_down(heap, count, i);
}

static uint64_t pop(uint64_t *heap, size_t *count)
{
    const uint64_t top = heap[0];
    heap[0] = heap[--*count];
    if (*count > 0)
        sift_down(heap, *count, 0);
    return top;
}

/* Also for a NaN, which is no candidate later. */
static bool may_pass(const struct det_postprocess *p, int32_t anchor)
{
    const float *logits = p->logits + (size_t)anchor * ((size_t)p->class_count + 1) + 1;
    for (int32_t c = 0; c < p->class_count; c++)
        if (!(logits[c] < p->logit_floor))
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

/* Decoded boxes never have ymin > ymax, so the kernel's reordering of corners is not needed. An IoU
 * that is NaN (areas that overflow) suppresses, as there. */
static bool overlaps(const float a[4], const float b[4], float threshold)
{
    const float area_a = (a[2] - a[0]) * (a[3] - a[1]), area_b = (b[2] - b[0]) * (b[3] - b[1]);
    float iou = 0;
    if (area_a > 0 && area_b > 0) {
        const float height = most(least(a[2], b[2]) - most(a[0], b[0]), 0);
        const float width = most(least(a[3], b[3]) - most(a[1], b[1]), 0);
        const float shared = height * width;
        iou = shared / (area_a + area_b - shared);
    }
    return !(iou <= threshold);
}

/* The candidates of a class among a chunk's anchors; how many there are now. */
static size_t gather(const struct det_postprocess *p, int32_t class_index, int32_t chunk,
                     uint64_t *heap, size_t candidates)
{
    const size_t columns = (size_t)p->class_count + 1;
    for (int32_t i = 0; i < p->alive_count[chunk]; i++) {
        const int32_t a = p->alive[chunk * CHUNK + i];
        const float logit = p->logits[(size_t)a * columns + (size_t)class_index + 1];
        if (logit < p->logit_floor)
            continue;
        const float score = det_sigmoid(logit);
        const float *box = p->boxes[a];
        if (score > p->settings.score_threshold && isfinite(box[0]) && isfinite(box[1]) &&
            isfinite(box[2]) && isfinite(box[3]))
            heap[candidates++] = make_key(score, (uint32_t)a);
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
    make_heap(heap, candidates);
    int32_t *kept = p->kept + (size_t)class_index * (size_t)p->per_class;
    int32_t count = 0;
    while (candidates > 0 && count < p->per_class) {
        const int32_t anchor = (int32_t)key_index(pop(heap, &candidates));
        bool suppressed = false;
        for (int32_t k = count - 1; k >= 0 && !suppressed; k--)
            suppressed = overlaps(p->boxes[anchor], p->boxes[kept[k]], p->settings.iou_threshold);
        if (!suppressed)
            kept[count++] = anchor;
    }
    p->kept_count[class_index] = count;
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
                make_key(det_sigmoid(logits[row + (size_t)c + 1]), (uint32_t)place);
        }
    make_heap(p->merged, total);
    struct det_detections *result = &p->result;
    result->count = 0;
    while (total > 0 && result->count < p->settings.max_total_detections) {
        const uint64_t key = pop(p->merged, &total);
        const uint32_t place = key_index(key);
        const int32_t anchor = p->kept[place], at = result->count;
        if (!place_box(p, p->boxes[anchor], window, result->boxes[at]))
            continue;
        result->class_index[at] = (int32_t)(place / (uint32_t)p->per_class);
        result->score[at] = key_score(key);
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
