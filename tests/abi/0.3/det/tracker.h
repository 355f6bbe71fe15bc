/* det/tracker.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_TRACKER_H
#define DET_TRACKER_H
#include "det/context.h"
#include "det/detector.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_tracker det_tracker;
typedef struct det_tracker_settings {
    size_t struct_size;
    float high_score;
    float low_score;
    const float *class_score;
    int32_t class_count;
    float match_iou;
    float low_match_iou;
    float same_iou;
    int32_t min_hits;
    double lost_s;
    double frame_rate;
} det_tracker_settings;
DET_API void det_tracker_settings_init(det_tracker_settings *settings, size_t struct_size);
static inline void det_tracker_settings_default(det_tracker_settings *settings)
{
    det_tracker_settings_init(settings, sizeof *settings);
}
typedef struct det_track {
    int64_t id;
    det_detection box;
    size_t detection;
    int32_t hits;
    float first_place[2];
    double first_time_s;
} det_track;
DET_NODISCARD DET_API det_status det_tracker_create(det_context *context,
                                                    const det_tracker_settings *settings,
                                                    det_tracker **tracker);
DET_API void det_tracker_destroy(det_tracker **tracker);
DET_NODISCARD DET_API det_status det_tracker_update(det_tracker *tracker, double time_s,
                                                    int32_t width, int32_t height,
                                                    const det_detection *detections, size_t count,
                                                    const det_track **tracks, size_t *track_count);
DET_API int64_t det_tracker_total(const det_tracker *tracker);
typedef struct det_counter det_counter;
DET_NODISCARD DET_API det_status det_counter_create(det_context *context, const float (*points)[2],
                                                    size_t count, int32_t class_count,
                                                    det_counter **counter);
DET_API void det_counter_destroy(det_counter **counter);
DET_NODISCARD DET_API det_status det_counter_update(det_counter *counter, double time_s,
                                                    int32_t width, int32_t height,
                                                    const det_track *tracks, size_t count);
typedef struct det_count {
    size_t struct_size;
    int64_t forward;
    int64_t backward;
    int64_t inside;
} det_count;
DET_NODISCARD DET_API det_status det_counter_count(const det_counter *counter, int32_t class_id,
                                                   det_count *count);
typedef struct det_mot_result {
    size_t struct_size;
    double mota, motp, idf1, idp, idr;
    int64_t frames, objects, predictions;
    int64_t matches, misses, false_positives, switches;
    int64_t id_true_positives;
} det_mot_result;
typedef struct det_mot_measure det_mot_measure;
typedef struct det_mot_box {
    int64_t id;
    float ymin, xmin, ymax, xmax;
} det_mot_box;
DET_NODISCARD DET_API det_status det_mot_measure_create(det_context *context, float min_iou,
                                                        det_mot_measure **measure);
DET_API void det_mot_measure_destroy(det_mot_measure **measure);
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
