/* det/review.h: what is likely wrong with a data set's labels, as a model sees them, and which of
 * further pictures to label next.
 *
 * A review is a list of rows, one for each given box and one for each detection that no box
 * explains, by falling suspicion: what deserves a look comes first. The model may have been trained
 * on these very labels, errors among them; with few steps for many pictures it has not learnt the
 * errors by heart. docs/reviewing.md has how many planted errors are found, and how the suspicion
 * is made.
 *
 * Thread safety: as the context it was made with.
 */
#ifndef DET_REVIEW_H
#define DET_REVIEW_H

#include <stddef.h>
#include <stdint.h>

#include "det/dataset.h"
#include "det/detector.h"
#include "det/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_review det_review;

/** What a row says, where it says anything. */
typedef enum det_review_kind {
    /** a box that the model agrees with */
    DET_REVIEW_AGREES = 0,
    /** an object is detected, and has no box */
    DET_REVIEW_MISSING = 1,
    /** a box in which nothing is detected */
    DET_REVIEW_SPURIOUS = 2,
    /** an object of another class is detected there */
    DET_REVIEW_RENAMED = 3,
    /** the object is detected beside its box, or larger, or smaller */
    DET_REVIEW_MOVED = 4
} det_review_kind;

typedef struct det_review_settings {
    /** sizeof(det_review_settings), set by the default function */
    size_t struct_size;
    /** detections without a box get a row from this share of their class's usual score on, above 0,
     * to 1; default .2 */
    double least_score;
    /** of unlabelled pictures: detections that become boxes to begin from have this share of their
     * class's usual score, above 0, to 1; default .5 */
    double proposed_score;
    /** called before each picture, done of total; other than 0 stops with CANCELLED. NULL, the
     * default: nobody */
    int (*progress)(void *user, size_t done, size_t total);
    /** passed through */
    void *user;
} det_review_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_review_settings_init(det_review_settings *settings, size_t struct_size);
static inline void det_review_settings_default(det_review_settings *settings)
{
    det_review_settings_init(settings, sizeof *settings);
}

/** Of the review's list. */
typedef struct det_review_row {
    /** sizeof(det_review_row), set by the caller */
    size_t struct_size;
    det_review_kind kind;
    int reserved;
    /** 0, nothing to see, to 1; that of one kind compares with that of another */
    double suspicion;
    /** position of the image in the set */
    size_t image;
    /** its object; -1: none, of DET_REVIEW_MISSING */
    int64_t object;
    /** of that object, from 1; 0: it has none */
    int32_t class_id;
    /** what the model would have, by the set's class ids; 0: nothing */
    int32_t detected_class_id;
    /** ymin, xmin, ymax, xmax as shares of the picture; 0 where there is none */
    double box[4], detected_box[4];
    /** of the detection; 0: there is none */
    double score;
    /** of both boxes; 0: there are not two */
    double iou;
} det_review_row;

/** An unlabelled picture that is worth labelling. */
typedef struct det_review_choice {
    /** sizeof(det_review_choice), set by the caller */
    size_t struct_size;
    /** position of the image in the set of unlabelled ones */
    size_t image;
    /** of the detections in it, 0 to 1 */
    double uncertainty;
    /** to the nearest picture that is labelled or was chosen before, 0 for a copy; 1: as far as
     * labelled pictures usually are from each other */
    double distance;
    size_t detection_count;
} det_review_choice;

/**
 * Runs the model on all usable images of a resolved set and ranks its labels. Classes are compared
 * by name. A box of a class that the model does not know is a row only where the model knows
 * better; detections of classes that the set does not have are left out. Crowds and groups are no
 * rows, and explain what is detected in them; `difficult` boxes are never spurious. `settings` may
 * be NULL. MISMATCH: the set and the model have no class in common; INVALID_ARGUMENT: there is no
 * usable image or a setting is out of range; CANCELLED. The review is destroyed before the set and
 * the context, and holds for the set as it is: one that changes needs another review, and this one
 * is written no more (INVALID_ARGUMENT). *review is NULL after a failure.
 */
DET_NODISCARD DET_API det_status det_review_create(det_context *context, const det_model *model,
                                                   det_annotation_set *set,
                                                   const det_review_settings *settings,
                                                   det_review **review);
/** Releases it and sets *review to NULL. NULL is allowed. */
DET_API void det_review_destroy(det_review **review);

/** Rows of the list: given boxes and detections that no box explains. */
DET_API size_t det_review_row_count(const det_review *review);
/** Row `index`, by falling suspicion. INVALID_ARGUMENT: there is none. */
DET_NODISCARD DET_API det_status det_review_row_at(const det_review *review, size_t index,
                                                   det_review_row *row);
/** "agrees", "missing", "spurious", "renamed", "moved"; "" for no kind. Static text, any thread. */
DET_API const char *det_review_kind_name(det_review_kind kind);

/**
 * Chooses of a resolved set of unlabelled images up to `most` to label next: those whose detections
 * are uncertain, and which look unlike what is labelled or chosen. Source: k-center greedy (Sener,
 * Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018),
 * here of distances that uncertainty weighs. What was chosen before is forgotten. `unlabelled` must
 * live as long as the review, unchanged. The other failures of det_review_create().
 */
DET_NODISCARD DET_API det_status det_review_choose(det_review *review, const det_model *model,
                                                   det_annotation_set *unlabelled, size_t most);
DET_API size_t det_review_choice_count(const det_review *review);
/** Choice `index`, the first to be labelled first. INVALID_ARGUMENT: there is none. */
DET_NODISCARD DET_API det_status det_review_choice_at(const det_review *review, size_t index,
                                                      det_review_choice *choice);
/** Its detections from proposed_score on, by falling score, with the set's class ids (of the
 * labelled set); the review's. */
DET_NODISCARD DET_API det_status det_review_choice_detections(const det_review *review,
                                                              size_t index,
                                                              const det_detection **detections,
                                                              size_t *count);

/**
 * Writes the review into a folder, which is made:
 *   review.html       a page with the pictures of the first `most` rows that say something, boxes
 *                     drawn, and the choices; it loads nothing from elsewhere
 *   review.csv        all rows
 *   annotations.xml   CVAT for images 1.1: the images of the rows of review.html with the boxes as
 *                     given
 *   unlabelled.xml    the same of the choices, with what was detected to begin from; only where
 *                     something was chosen
 */
DET_NODISCARD DET_API det_status det_review_write(det_review *review, const char *folder,
                                                  size_t most);
/** Names of these files: `index` 0, 1, ..., NULL behind the last. Static text. From any thread. */
DET_API const char *det_review_file(size_t index);
/** All rows that say something, and the choices, as JSON. Owned by the review, until the next call
 * that uses it. */
DET_NODISCARD DET_API det_status det_review_json(det_review *review, const char **text);

#ifdef __cplusplus
}
#endif
#endif
