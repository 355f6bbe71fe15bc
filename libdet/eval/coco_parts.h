/* coco_parts.h: what coco_eval.c, coco_layout.c, coco_match.c and coco_accumulate.c share; nobody
 * else includes it. */
#ifndef DET_EVAL_COCO_PARTS_H
#define DET_EVAL_COCO_PARTS_H

#include "eval/coco_eval.h"

/* Settings with every list copied and max_dets sorted. */
struct det_coco_rules {
    double *iou_thresholds;
    double *recall_thresholds;
    int32_t max_dets[DET_COCO_MAX_MAX_DETS];
    det_coco_area areas[DET_COCO_MAX_AREAS]; /* names are ours */
    int32_t iou_count, recall_count, max_det_count, area_count;
    bool use_categories, honour_ignore, first_row_follows_max_dets;
};

/* image, category: position in order of arrival. */
struct det_coco_gt {
    double box_px[4];
    double area_px2;
    uint32_t image, category;
    bool is_crowd, ignore, id_is_zero, is_group_of;
};

struct det_coco_dt {
    double box_px[4];
    double score;
    uint32_t image, category;
};

struct det_coco_category_entry {
    int64_t id;
    char *name;
};

/* A class in an image. gt, dt: ranges of the orders below; out: of the arrays of what was kept of
 * dt. */
struct det_coco_cell {
    uint32_t gt_begin, gt_count;
    uint32_t dt_begin, dt_count;
    uint32_t out_begin, out_count;
};

struct det_coco_layout {
    int32_t class_count;           /* K, 1 without categories */
    uint32_t *gt_order, *dt_order; /* positions in gts / dts by (class, image, arrival) */
    struct det_coco_cell *cells;   /* by (class, image) */
    size_t cell_count;
    size_t *class_cells; /* [K+1] first cell of each class */
    size_t *chunks;      /* [chunk_count+1] first cell of each matching task */
    int32_t chunk_count;
    uint32_t out_count;        /* kept detections */
    uint32_t most_gt, most_dt; /* in a cell */
    uint32_t most_class_gt, most_class_out;
};

/* Per kept detection, arrays of out_count; within a cell by falling score. */
struct det_coco_matches {
    double *score;
    uint32_t *rank;    /* position in its cell */
    uint32_t *matched; /* [A][out_count] bit t: true positive at IoU threshold t */
    uint32_t *ignored; /* [A][out_count] bit t: neither true nor false positive */
};

struct det_coco_eval {
    struct det_coco_rules rules;
    struct det_id_map image_map, category_map;
    int64_t *image_ids;
    size_t image_count, image_capacity;
    struct det_coco_category_entry *categories;
    size_t category_count, category_capacity;
    struct det_coco_gt *gts;
    size_t gt_count, gt_capacity;
    struct det_coco_dt *dts;
    size_t dt_count, dt_capacity;
    /* the last result and what it points to */
    bool has_result;
    det_coco_result result;
    det_coco_class *classes;
    const det_coco_class **class_list; /* pointers to them, for the result */
    char *class_names;                 /* one block */
    int64_t *objects;                  /* [A] totals, then [K][A] */
    double *precision, *scores, *recall;
};

/* coco_rules.c */
det_status det_coco_rules_init(struct det_env *env, struct det_coco_rules *rules,
                               const det_coco_settings *settings);
void det_coco_rules_free(struct det_env *env, struct det_coco_rules *rules);

/* coco_layout.c. category_rank[category] = class: position by rising id, K = category_count. */
det_status det_coco_layout_make(struct det_env *env, const struct det_coco_eval *eval,
                                const uint32_t *category_rank, struct det_coco_layout *layout);
void det_coco_layout_free(struct det_env *env, struct det_coco_layout *layout);

/* coco_match.c */
det_status det_coco_match(struct det_env *env, const struct det_coco_eval *eval,
                          const struct det_coco_layout *layout, struct det_pool *pool,
                          struct det_coco_matches *matches);
void det_coco_matches_free(struct det_env *env, struct det_coco_matches *matches);

static inline bool det_coco_gt_ignored(const struct det_coco_rules *rules,
                                       const struct det_coco_gt *gt, int32_t area)
{
    return gt->is_crowd || (rules->honour_ignore && gt->ignore) ||
           gt->area_px2 < rules->areas[area].min_px2 || gt->area_px2 > rules->areas[area].max_px2;
}

/* coco_sort.c: stable, by falling score. */
struct det_coco_sort_item {
    uint64_t key;
    uint32_t index;
};
uint64_t det_coco_sort_key(double score);
/* Sorts items in place; scratch has room for as many. */
void det_coco_sort(struct det_coco_sort_item *items, struct det_coco_sort_item *scratch,
                   size_t count);

/* coco_accumulate.c: fills precision, scores, recall and the objects and stats of eval. */
det_status det_coco_accumulate(struct det_env *env, struct det_coco_eval *eval,
                               const struct det_coco_layout *layout,
                               const struct det_coco_matches *matches, struct det_pool *pool);

/* coco_summary.c */
/* max_dets and area of a row of the table. */
int32_t det_coco_stat_max_dets(const struct det_coco_rules *rules, det_coco_stat stat);
const char *det_coco_stat_area(det_coco_stat stat);
/* Mean over the entries > -1 of all classes, or of `only_class` if it is not negative; -1 if there
 * are none. values: room for T*R*K numbers. */
double det_coco_stat_mean(const struct det_coco_eval *eval, int32_t class_count, int32_t only_class,
                          det_coco_stat stat, double *values);

#endif
