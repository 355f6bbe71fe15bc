/* review.h: what is behind det/review.h.
 *
 *   review_look.c    a picture through the network: boxes that it gives some class a chance in,
 *                    with the chance of every class, before the suppression within a class hides
 *                    the others
 *   review_match.c   one picture's given boxes and detections, paired
 *   review_judge.c   suspicion, from the pairs of the whole set
 *   review.c         the API
 *   review_choose.c  unlabelled pictures
 *   review_files.c   CSV, JSON, CVAT
 *   review_page.c    the page
 */
#ifndef DET_REVIEW_REVIEW_H
#define DET_REVIEW_REVIEW_H

#include "convert/annotation_set.h"
#include "det/review.h"
#include "model/model.h"

/* Something that the network sees. */
struct det_sighted {
    float box[4]; /* shares of the picture, clipped */
    float score;  /* of class_index, the most likely of the set's classes */
    int32_t class_index;
    int32_t anchor; /* whose logits say the rest */
};

/* Features of a picture that two are compared by: mean and deviation, over each level's places, of
 * what the heads give there for each shape of anchor. */
enum { DET_FEATURE_OUTPUTS = 6, DET_FEATURE_SHAPES = 6, DET_FEATURE_LEVELS = 5 };
enum { DET_FEATURES = 2 * DET_FEATURE_OUTPUTS * DET_FEATURE_SHAPES * DET_FEATURE_LEVELS };

struct det_look {
    const det_model *model;
    det_detector *detector;
    int32_t *set_class;   /* [K of the model] position of the class in the set, -1: it has none */
    int32_t *model_class; /* [classes of the set] position in the model, -1 */
    int32_t set_classes;
    struct det_image pixels;
    det_detector_raw raw; /* of the last picture */
    struct det_sighted *seen;
    size_t seen_count, seen_capacity;
    /* the first of `seen`, by falling score: those that no surer one overlaps */
    struct det_sighted *found;
    size_t found_count, found_capacity;
};

det_status det_look_open(struct det_env *env, det_context *context, const det_model *model,
                         const struct det_annotations *set, struct det_look *look);
void det_look_close(struct det_env *env, struct det_look *look);
/* Fills seen, found and, where it is not NULL, features [DET_FEATURES]. */
det_status det_look_at(struct det_env *env, struct det_look *look,
                       const struct det_annotations *set, const struct det_labelled_image *image,
                       float *features);
/* Chance of a class of the set at a place of the last picture. */
float det_look_score(const struct det_look *look, const struct det_sighted *seen,
                     int32_t class_index);

/* What is known of a row before it is judged. */
struct det_evidence {
    uint32_t image;
    int64_t object; /* -1: a detection without a box */
    int32_t class_index, found_class;
    double box[4], found_box[4];
    double side_px;      /* square root of the box's area in the network's input */
    double own, any;     /* best chance of the box's own class, of any, where the box is (IoU .5) */
    double other;        /* of the most likely other class there */
    int32_t other_class; /* -1: there is none */
    double score, iou;   /* of the detection it is paired with; 0: none */
    double covered;      /* share of a detection without a box that is in one all the same */
    double found_own;    /* chance of the box's own class in that detection */
    bool difficult;
    det_review_kind kind; /* judged */
    double suspicion;
};

struct det_evidence_list {
    struct det_evidence *rows;
    size_t count, capacity;
};

/* Rows of one picture: boxes that are no crowds, and detections above `least` that none
 * explains. */
det_status det_review_match(struct det_env *env, const struct det_look *look,
                            const struct det_annotations *set, size_t image, double least,
                            struct det_evidence_list *list);

/* Usual score of each class: [classes]. */
det_status det_review_usual_scores(struct det_env *env, const struct det_evidence_list *list,
                                   int32_t classes, double *usual);
/* Kind and suspicion of all rows, which are then sorted by it. */
det_status det_review_judge(struct det_env *env, struct det_evidence_list *list,
                            const double *usual, double least);

struct det_chosen {
    size_t image; /* position in the unlabelled set */
    double uncertainty, distance;
    det_detection *detections;
    size_t detection_count;
};

struct det_review {
    det_context *context;
    struct det_env *env;
    det_annotation_set *set;
    det_review_settings settings;
    struct det_evidence_list list;
    double *usual;   /* [classes] */
    float *features; /* [feature_count][DET_FEATURES] of the set's usable images */
    size_t feature_count;
    size_t images, objects; /* of the set, as it was */
    det_annotation_set *unlabelled;
    size_t unlabelled_images;
    struct det_chosen *chosen;
    size_t chosen_count;
    struct det_text text;
};

/* MISMATCH, or INVALID_ARGUMENT where a set has no usable image; *usable: how many. */
det_status det_review_count_usable(struct det_env *env, const det_annotation_set *set,
                                   size_t *usable);
det_status det_review_progress(const struct det_review *review, size_t done, size_t total);
void det_review_forget_choice(struct det_review *review);
/* INVALID_ARGUMENT when a set has changed since. */
det_status det_review_need_sets(const struct det_review *review);

/* What an image is called in files and on pages. */
const char *det_review_image_name(const struct det_labelled_image *image);
/* "" for none. */
const char *det_review_class_name(const struct det_review *review, int32_t class_index);
/* Of the first `most` rows that say something: how many there are of them. */
size_t det_review_telling(const struct det_review *review, size_t most);
det_status det_review_page(struct det_review *review, size_t most, struct det_text *html);

#endif
