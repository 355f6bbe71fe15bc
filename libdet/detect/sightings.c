#include "detect/sightings.h"

#include <math.h>

#include "model/nms.h"
#include "support/mem.h"

/* How much of its score a sighting is trusted by. */
#define TRUST_WHOLE  .5F /* of the picture scaled down */
#define TRUST_JOINED .4F
#define TRUST_CUT    .25F
/* IoU of two sightings of one object, at most: tiles look at it from different sides. */
#define MOST_IOU .5F
/* Of a cut sighting, inside another one. */
#define LEAST_INSIDE .5F
/* Of halves: what they have in common along the border, and the lower score by the higher one. */
#define LEAST_ALONG .5F
#define LEAST_SCORE .5F
/* A box ends at a border when it is nearer than this share of the tile's or its own side. */
#define NEAR_OF_TILE .01F
#define NEAR_OF_BOX  .1F

det_status det_sightings_begin(struct det_env *env, struct det_sightings *s,
                               const struct det_tile_grid *grid, const det_region *window,
                               int32_t frame_height, int32_t frame_width, float iou_threshold)
{
    const size_t tiles = (size_t)det_tile_grid_count(grid);
    s->grid = *grid;
    s->window = *window;
    s->frame_height = frame_height;
    s->frame_width = frame_width;
    s->iou_threshold = fminf(iou_threshold, MOST_IOU);
    s->count = 0;
    s->tile = 0;
    DET_TRY_RETURN(
        det_grow(env, &s->begins, &s->begin_capacity, tiles + 2, sizeof *s->begins, "tiles"));
    s->begins[0] = 0;
    return DET_OK;
}

void det_sightings_free(struct det_env *env, struct det_sightings *s)
{
    det_free(env, &s->list);
    det_free(env, &s->begins);
    det_free(env, &s->heap);
    det_free(env, &s->pieces);
    *s = (struct det_sightings){0};
}

size_t det_sightings_bytes(const struct det_sightings *s)
{
    return (s->capacity + s->piece_capacity) * sizeof *s->list +
           s->begin_capacity * sizeof *s->begins + s->heap_capacity * sizeof *s->heap;
}

/* --- adding --- */

static float near_of(const struct det_sightings *s, const struct det_sighting *seen, int axis)
{
    return fmaxf(NEAR_OF_TILE * (float)s->grid.axes[axis].tile,
                 NEAR_OF_BOX * (seen->box_px[axis + 2] - seen->box_px[axis]));
}

/* Of the tiles that a sighting is of. */
static float seen_from(const struct det_sightings *s, const struct det_sighting *seen, int axis)
{
    return (float)det_tile_axis_start(&s->grid.axes[axis], seen->first[axis]);
}

static float seen_to(const struct det_sightings *s, const struct det_sighting *seen, int axis)
{
    const struct det_tile_axis *side = &s->grid.axes[axis];
    return (float)(det_tile_axis_start(side, seen->last[axis]) + side->tile);
}

static uint8_t cuts_of(const struct det_sightings *s, const struct det_sighting *seen)
{
    int cut = 0;
    for (int axis = 0; axis < 2; axis++) {
        const float near_px = near_of(s, seen, axis);
        if (seen->first[axis] > 0 && seen->box_px[axis] <= seen_from(s, seen, axis) + near_px)
            cut |= DET_CUT_TOP << axis;
        if (seen->last[axis] < s->grid.axes[axis].count - 1 &&
            seen->box_px[axis + 2] >= seen_to(s, seen, axis) - near_px)
            cut |= DET_CUT_BOTTOM << axis;
    }
    return (uint8_t)cut;
}

static struct det_sighting sighting_of(const struct det_sightings *s, const det_detection *found)
{
    const float height = (float)s->frame_height, width = (float)s->frame_width;
    const float y = (float)s->window.y, x = (float)s->window.x;
    return (struct det_sighting){.found = *found,
                                 .box_px = {found->ymin * height - y, found->xmin * width - x,
                                            found->ymax * height - y, found->xmax * width - x}};
}

static det_status reserve_heap(struct det_env *env, struct det_sightings *s, size_t count)
{
    return det_grow(env, &s->heap, &s->heap_capacity, count, sizeof *s->heap, "detections");
}

/* Keeps the surest, in their order. */
static det_status thin_out(struct det_env *env, struct det_sightings *s)
{
    size_t left = s->count, to = 0;
    DET_TRY_RETURN(reserve_heap(env, s, s->count));
    for (size_t i = 0; i < s->count; i++) {
        s->heap[i] = det_score_key(s->list[i].found.score, (uint32_t)i);
        s->list[i].kept = 0;
    }
    det_heap_make(s->heap, left);
    for (size_t i = 0; i < DET_MOST_SIGHTINGS; i++)
        s->list[det_key_index(det_heap_pop(s->heap, &left))].kept = 1;
    for (int32_t tile = 0; tile < s->tile; tile++) {
        const size_t begin = s->begins[tile], end = s->begins[tile + 1];
        s->begins[tile] = to;
        for (size_t i = begin; i < end; i++)
            if (s->list[i].kept)
                s->list[to++] = s->list[i];
        /* The next tile's begin is still the old one: it is read before it is written. */
    }
    s->begins[s->tile] = s->count = to;
    return DET_OK;
}

det_status det_sightings_add(struct det_env *env, struct det_sightings *s,
                             const det_detection *found, size_t count)
{
    const int32_t columns = s->grid.axes[1].count;
    const bool whole = s->tile == det_tile_grid_count(&s->grid);
    DET_TRY_RETURN(
        det_grow(env, &s->list, &s->capacity, s->count + count, sizeof *s->list, "detections"));
    for (size_t i = 0; i < count; i++) {
        struct det_sighting *seen = &s->list[s->count++];
        *seen = sighting_of(s, &found[i]);
        seen->kind = whole ? DET_SEEN_AS_WHOLE : DET_SEEN_IN_TILE;
        if (whole)
            continue;
        seen->first[0] = seen->last[0] = s->tile / columns;
        seen->first[1] = seen->last[1] = s->tile % columns;
        seen->cut = cuts_of(s, seen);
    }
    s->begins[++s->tile] = s->count;
    return s->count >= 2 * (size_t)DET_MOST_SIGHTINGS ? thin_out(env, s) : DET_OK;
}

/* --- halves --- */

static float shared(const float a[4], const float b[4], int axis)
{
    return fmaxf(fminf(a[axis + 2], b[axis + 2]) - fmaxf(a[axis], b[axis]), 0);
}

/* What two boxes have in common along the border that they face each other across; 0: they are no
 * halves of one object. `a` comes first. */
static float fits(const struct det_sightings *s, const struct det_sighting *a,
                  const struct det_sighting *b, int axis)
{
    const int along = 1 - axis;
    const float lower = fminf(a->found.score, b->found.score);
    if (!(b->cut & DET_CUT_TOP << axis) || a->found.class_id != b->found.class_id ||
        b->first[along] > a->last[along] || a->first[along] > b->last[along] ||
        lower < LEAST_SCORE * fmaxf(a->found.score, b->found.score))
        return 0;
    const float begin = seen_from(s, b, axis), end = seen_to(s, a, axis);
    /* Neighbours; both go all the way through what the tiles have in common, or nearly, as the
     * other one does that counts as cut. */
    const float near_px = fmaxf(near_of(s, a, axis), near_of(s, b, axis));
    if (begin > end || begin <= seen_from(s, a, axis) || seen_to(s, b, axis) <= end ||
        a->box_px[axis] > begin + near_px || b->box_px[axis + 2] < end - near_px)
        return 0;
    const float common = shared(a->box_px, b->box_px, along);
    const float together = fmaxf(a->box_px[along + 2], b->box_px[along + 2]) -
                           fminf(a->box_px[along], b->box_px[along]);
    return together > 0 && common >= LEAST_ALONG * together ? common / together : 0;
}

/* Place of the piece that goes on with piece `i`, SIZE_MAX: none. */
static size_t find_rest(const struct det_sightings *s, size_t count, size_t i, int axis)
{
    const struct det_sighting *piece = &s->pieces[i];
    const float last_row = axis == 1 ? seen_from(s, piece, 0) : seen_to(s, piece, 0);
    size_t best = SIZE_MAX;
    float best_fit = 0;
    for (size_t j = i + 1; j < count && seen_from(s, &s->pieces[j], 0) <= last_row; j++) {
        const float fit = s->pieces[j].kept ? fits(s, piece, &s->pieces[j], axis) : 0;
        if (fit > best_fit) {
            best_fit = fit;
            best = j;
        }
    }
    return best;
}

static void unite(struct det_sighting *a, const struct det_sighting *b)
{
    for (int axis = 0; axis < 2; axis++) {
        a->box_px[axis] = fminf(a->box_px[axis], b->box_px[axis]);
        a->box_px[axis + 2] = fmaxf(a->box_px[axis + 2], b->box_px[axis + 2]);
        a->first[axis] = a->first[axis] < b->first[axis] ? a->first[axis] : b->first[axis];
        a->last[axis] = a->last[axis] > b->last[axis] ? a->last[axis] : b->last[axis];
    }
    a->found.ymin = fminf(a->found.ymin, b->found.ymin);
    a->found.xmin = fminf(a->found.xmin, b->found.xmin);
    a->found.ymax = fmaxf(a->found.ymax, b->found.ymax);
    a->found.xmax = fmaxf(a->found.xmax, b->found.xmax);
    a->found.score = fmaxf(a->found.score, b->found.score);
    a->kind = DET_SEEN_JOINED;
}

static void join_along(struct det_sightings *s, size_t count, int axis)
{
    for (size_t i = 0; i < count; i++) {
        struct det_sighting *piece = &s->pieces[i];
        while (piece->kept && (piece->cut & DET_CUT_BOTTOM << axis)) {
            const size_t rest = find_rest(s, count, i, axis);
            if (rest == SIZE_MAX)
                break;
            unite(piece, &s->pieces[rest]);
            piece->cut = cuts_of(s, piece);
            s->pieces[rest].kept = 0;
        }
    }
}

/* Columns of a row first, then rows: quarters become halves before they are joined. */
static det_status join(struct det_env *env, struct det_sightings *s)
{
    size_t count = 0, joined = 0;
    for (size_t i = 0; i < s->count; i++)
        count += s->list[i].cut != 0;
    DET_TRY_RETURN(
        det_grow(env, &s->pieces, &s->piece_capacity, count, sizeof *s->pieces, "detections"));
    count = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].cut != 0) {
            s->pieces[count] = s->list[i];
            s->pieces[count++].kept = 1;
        }
    join_along(s, count, 1);
    join_along(s, count, 0);
    for (size_t i = 0; i < count; i++)
        joined += s->pieces[i].kept && s->pieces[i].kind == DET_SEEN_JOINED;
    DET_TRY_RETURN(
        det_grow(env, &s->list, &s->capacity, s->count + joined, sizeof *s->list, "detections"));
    for (size_t i = 0; i < count; i++)
        if (s->pieces[i].kept && s->pieces[i].kind == DET_SEEN_JOINED)
            s->list[s->count++] = s->pieces[i];
    return DET_OK;
}

/* --- the same object --- */

static float area_of(const float box[4])
{
    return (box[2] - box[0]) * (box[3] - box[1]);
}

static bool is_same_tile(const struct det_sighting *a, const struct det_sighting *b)
{
    return a->kind == b->kind && a->kind != DET_SEEN_JOINED && a->first[0] == b->first[0] &&
           a->first[1] == b->first[1];
}

/* How well `kept` shows the object of `seen`: their IoU; 0: it is another one. */
static float shows(const struct det_sightings *s, const struct det_sighting *kept,
                   const struct det_sighting *seen)
{
    const float common =
        shared(kept->box_px, seen->box_px, 0) * shared(kept->box_px, seen->box_px, 1);
    if (!(common > 0))
        return 0;
    const float area = area_of(seen->box_px);
    const float iou = common / (area_of(kept->box_px) + area - common);
    return iou > s->iou_threshold || (seen->cut && common > LEAST_INSIDE * area) ? iou : 0;
}

struct match {
    struct det_sighting *kept; /* NULL: none */
    float iou;
};

static void look_at(struct det_sightings *s, size_t begin, size_t end,
                    const struct det_sighting *seen, struct match *best)
{
    for (size_t i = begin; i < end; i++) {
        struct det_sighting *kept = &s->list[i];
        if (!kept->kept || kept->found.class_id != seen->found.class_id || is_same_tile(kept, seen))
            continue;
        const float iou = shows(s, kept, seen);
        if (iou > best->iou)
            *best = (struct match){kept, iou};
    }
}

/* The first tile of a side that reaches beyond a coordinate, or begins at it or behind. */
static int32_t first_tile(const struct det_tile_axis *axis, float coordinate, bool by_end)
{
    int32_t low = 0, high = axis->count;
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        const int32_t start = det_tile_axis_start(axis, middle);
        const bool beyond =
            by_end ? (float)(start + axis->tile) > coordinate : (float)start >= coordinate;
        if (beyond)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static struct match find_same(struct det_sightings *s, const struct det_sighting *seen)
{
    const struct det_tile_axis *y = &s->grid.axes[0], *x = &s->grid.axes[1];
    const int32_t tiles = det_tile_grid_count(&s->grid);
    const int32_t row_end = first_tile(y, seen->box_px[2], false);
    const int32_t column = first_tile(x, seen->box_px[1], true);
    const int32_t column_end = first_tile(x, seen->box_px[3], false);
    struct match best = {0};
    for (int32_t row = first_tile(y, seen->box_px[0], true); row < row_end; row++)
        if (column < column_end)
            look_at(s, s->begins[row * x->count + column], s->begins[row * x->count + column_end],
                    seen, &best);
    look_at(s, s->begins[tiles], s->count, seen, &best);
    return best;
}

static float trust_of(const struct det_sighting *seen)
{
    const float share = seen->cut                         ? TRUST_CUT
                        : seen->kind == DET_SEEN_AS_WHOLE ? TRUST_WHOLE
                        : seen->kind == DET_SEEN_JOINED   ? TRUST_JOINED
                                                          : 1;
    return share * seen->found.score;
}

static void suppress(struct det_sightings *s)
{
    size_t left = s->count;
    for (size_t i = 0; i < s->count; i++) {
        s->list[i].kept = 0;
        s->heap[i] = det_score_key(trust_of(&s->list[i]), (uint32_t)i);
    }
    det_heap_make(s->heap, left);
    while (left > 0) {
        struct det_sighting *seen = &s->list[det_key_index(det_heap_pop(s->heap, &left))];
        const struct match same = find_same(s, seen);
        seen->kept = same.kept == NULL;
        if (same.kept != NULL && !seen->cut && seen->found.score > same.kept->found.score)
            same.kept->found.score = seen->found.score;
    }
}

det_status det_sightings_merge(struct det_env *env, struct det_sightings *s, size_t most,
                               det_detection **list, size_t *used, size_t *capacity)
{
    DET_TRY_RETURN(join(env, s));
    DET_TRY_RETURN(reserve_heap(env, s, s->count));
    suppress(s);
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->list[i].kept)
            s->heap[kept++] = det_score_key(s->list[i].found.score, (uint32_t)i);
    const size_t reported = kept < most ? kept : most;
    DET_TRY_RETURN(det_grow(env, list, capacity, *used + reported, sizeof **list, "detections"));
    det_heap_make(s->heap, kept);
    for (size_t i = 0; i < reported; i++)
        (*list)[(*used)++] = s->list[det_key_index(det_heap_pop(s->heap, &kept))].found;
    return DET_OK;
}
