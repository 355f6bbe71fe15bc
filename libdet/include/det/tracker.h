/* det/tracker.h: which detections in successive frames are the same object, and counting them.
 *
 * The tracker is ByteTrack (Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every
 * Detection Box", ECCV 2022): each object has a Kalman filter of its box with constant speed; sure
 * detections are matched to the predicted boxes first, then unsure ones to what is left, so that an
 * object behind another one is not lost. Differs: time is in seconds, so that dropped frames and
 * variable rates are right; of boxes of two classes that cover each other the surer one is taken; a
 * track's class is the one with the highest sum of scores; a track has an id once it was seen
 * settings.min_hits times; unsure detections alone carry one on no longer than settings.lost_s.
 *
 * Thread safety: as the context it was made with. After the first frames no call allocates unless
 * there are more objects than ever before.
 */
#ifndef DET_TRACKER_H
#define DET_TRACKER_H

#include <stddef.h>
#include <stdint.h>

#include "det/context.h"
#include "det/detector.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct det_tracker det_tracker;

typedef struct det_tracker_settings {
    size_t struct_size; /**< sizeof(det_tracker_settings), set by the default function */
    float high_score;   /**< detections from here on are sure: they start tracks; default .5 */
    float low_score;    /**< those from here on can continue one; default .1 */
    const float *class_score; /**< [class_count] by class index: high_score of each class; NULL: the
                                 same for all. Copied */
    int32_t class_count;
    float match_iou; /**< least overlap with the predicted box of a sure detection; default .2 */
    float low_match_iou; /**< of an unsure one; default .5 */
    float same_iou; /**< boxes that overlap more are one object, whatever their classes; default .6;
                            1: never */
    int32_t min_hits;  /**< frames that a track must be seen in to count as an object; default 2 */
    double lost_s;     /**< how long an unseen one is looked for, and followed by unsure detections
                            alone; default 1 */
    double frame_rate; /**< frames a second the filter's noise is meant for; default 25 */
} det_tracker_settings;

/** Fills in the defaults, as far as a struct of `struct_size` bytes goes, which is noted in it. */
DET_API void det_tracker_settings_init(det_tracker_settings *settings, size_t struct_size);
static inline void det_tracker_settings_default(det_tracker_settings *settings)
{
    det_tracker_settings_init(settings, sizeof *settings);
}

/** An object in the present frame. */
typedef struct det_track {
    int64_t id;        /**< 1, 2, ...: never given twice */
    det_detection box; /**< where the filter has it, cut to the frame; the score is the detection's,
                            the class the track's */
    size_t detection;  /**< index of this frame's detection */
    int32_t hits;      /**< frames it was seen in so far */
    float first_place[2]; /**< where it was seen first, before it had an id: x, y of the middle of
                               its box's lower edge, normalised */
    double first_time_s;  /**< when that was */
} det_track;

/** `settings` may be NULL. */
DET_NODISCARD DET_API det_status det_tracker_create(det_context *context,
                                                    const det_tracker_settings *settings,
                                                    det_tracker **tracker);
DET_API void det_tracker_destroy(det_tracker **tracker);

/**
 * The detections of the next frame, unsure ones included (a detector with score_threshold =
 * low_score gives them); width and height of the frame in pixels. time_s must rise. *tracks
 * [*count], by rising id, belong to the tracker and hold until its next call. A box or score that
 * is not finite is NON_FINITE.
 */
DET_NODISCARD DET_API det_status det_tracker_update(det_tracker *tracker, double time_s,
                                                    int32_t width, int32_t height,
                                                    const det_detection *detections, size_t count,
                                                    const det_track **tracks, size_t *track_count);
/** Objects that have had an id so far. */
DET_API int64_t det_tracker_total(const det_tracker *tracker);

/* --- counting --- */

typedef struct det_counter det_counter;

/** Counts objects that cross the line from a to b (both normalised: x, y), or enter the zone with
 * these corners. An object is where the middle of its box's lower edge is. points [count][2]: 2
 * make a line, 3 or more a zone. */
DET_NODISCARD DET_API det_status det_counter_create(det_context *context, const float (*points)[2],
                                                    size_t count, int32_t class_count,
                                                    det_counter **counter);
DET_API void det_counter_destroy(det_counter **counter);
/** The tracks of the next frame of this size. Each track is counted once in each direction, by the
 * class it has then; one that dithers on a line within a twentieth of its box's height does not
 * cross it. */
DET_NODISCARD DET_API det_status det_counter_update(det_counter *counter, double time_s,
                                                    int32_t width, int32_t height,
                                                    const det_track *tracks, size_t count);

typedef struct det_count {
    size_t struct_size; /**< sizeof(det_count) */
    int64_t forward;  /**< line: seen from a towards b, from the left to the right; zone: entered */
    int64_t backward; /**< line: from the right to the left; zone: left again */
    int64_t inside;   /**< zone: in it now (lost ones for a second); line: 0 */
} det_count;

/** class_id 0: all classes. INVALID_ARGUMENT for a class that the counter was not made for. */
DET_NODISCARD DET_API det_status det_counter_count(const det_counter *counter, int32_t class_id,
                                                   det_count *count);

/* --- how good tracks are --- */

/** MOTA and MOTP of Bernardin and Stiefelhagen ("Evaluating Multiple Object Tracking Performance:
 * The CLEAR MOT Metrics", 2008), IDF1 of Ristani et al. ("Performance Measures and a Data Set for
 * Multi-Target, Multi-Camera Tracking", 2016), with the same figures as py-motmetrics. */
typedef struct det_mot_result {
    size_t struct_size; /**< sizeof(det_mot_result) */
    /** motp: mean overlap of matches; NaN where there is nothing to divide by. */
    double mota, motp, idf1, idp, idr;
    int64_t frames, objects, predictions;
    int64_t matches, misses, false_positives, switches;
    int64_t id_true_positives;
} det_mot_result;

typedef struct det_mot_measure det_mot_measure;

typedef struct det_mot_box {
    int64_t id;
    float ymin, xmin, ymax, xmax; /**< any unit, the same for both */
} det_mot_box;

/** min_iou: least overlap of a match, .5 mostly. */
DET_NODISCARD DET_API det_status det_mot_measure_create(det_context *context, float min_iou,
                                                        det_mot_measure **measure);
DET_API void det_mot_measure_destroy(det_mot_measure **measure);
/** The true and the predicted objects of the next frame; an id must not come twice in one of
 * them. */
DET_NODISCARD DET_API det_status det_mot_measure_frame(det_mot_measure *measure,
                                                       const det_mot_box *truth, size_t truth_count,
                                                       const det_mot_box *predicted,
                                                       size_t predicted_count);
DET_NODISCARD DET_API det_status det_mot_measure_result(det_mot_measure *measure,
                                                        det_mot_result *result);

#ifdef __cplusplus
}
#endif
#endif
