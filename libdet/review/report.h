/* report.h: the page of det_annotation_set_write_report(). report.c makes it, report_figures.c
 * counts, report_charts.c draws what was counted, report_pictures.c shows pictures and finds those
 * that are nearly the same. */
#ifndef DET_REVIEW_REPORT_H
#define DET_REVIEW_REPORT_H

#include "convert/annotation_set.h"
#include "model/spec.h"
#include "review/boxed_picture.h"

enum {
    REPORT_SIZE_BINS = 10,   /* octaves of the side in the network's input: below 4, 8, ... */
    REPORT_ASPECT_BINS = 11, /* half octaves of width / height around 1 */
    REPORT_GRID = 24,        /* of the map of places */
    REPORT_WORST = 12,
    REPORT_SIZES = 12,
    REPORT_EXAMPLES = 3,
};

struct det_report_class {
    size_t boxes, images, small, medium, large;
};

struct det_report_size {
    int32_t width, height;
    size_t images;
};

/* A box that no anchor meets well. */
struct det_report_misfit {
    size_t image, object;
    float iou;
};

struct det_report_figures {
    size_t images, broken, empty, boxes, crowds;
    struct det_report_class *classes; /* [classes of the set] */
    size_t sizes[REPORT_SIZE_BINS], aspects[REPORT_ASPECT_BINS];
    size_t small, medium, large;
    double places[REPORT_GRID][REPORT_GRID];   /* how often boxes cover it; 1: the most */
    struct det_report_size most[REPORT_SIZES]; /* most frequent sizes of pictures */
    size_t size_count;                         /* different ones */
    size_t measured, met; /* boxes held against the anchors; with an IoU of .5 */
    struct det_report_misfit worst[REPORT_WORST]; /* by rising IoU */
    size_t worst_count;
    struct det_model_spec spec; /* that has the anchors */
};

det_status det_report_count(struct det_env *env, const struct det_annotations *set,
                            struct det_report_figures *figures);
void det_report_figures_free(struct det_env *env, struct det_report_figures *figures);

/* Sections. */
void det_report_put_sizes(struct det_xml_writer *xml, const struct det_report_figures *figures);
void det_report_put_places(struct det_xml_writer *xml, const struct det_report_figures *figures);

/* Pictures of two splits that are nearly the same. */
struct det_report_pair {
    uint32_t a, b;
    double difference; /* mean of the grey levels' */
};
struct det_report_pairs {
    struct det_report_pair *pairs; /* by rising difference */
    size_t count, capacity;
};
det_status det_report_find_pairs(struct det_env *env, const struct det_annotations *set,
                                 struct det_report_pairs *pairs);

/* A picture with all of its boxes in their classes' colours, as <figure>. `marked`: an object that
 * stands out, -1: none. */
struct det_report_painter {
    struct det_image image, small;
    struct det_page_box *boxes;
    size_t capacity;
};
det_status det_report_put_picture(struct det_xml_writer *xml, struct det_report_painter *painter,
                                  const struct det_annotations *set, size_t image, int64_t marked,
                                  const char *note);
void det_report_painter_free(struct det_env *env, struct det_report_painter *painter);

#endif
