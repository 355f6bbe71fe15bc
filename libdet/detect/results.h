/* results.h: detections as text. */
#ifndef DET_DETECT_RESULTS_H
#define DET_DETECT_RESULTS_H

#include "det/results.h"
#include "support/text.h"

/* Appends the JSON object of one image, without a newline; see det_detections_to_json(). */
det_status det_results_json(struct det_env *env, struct det_text *text, const det_model *model,
                            const char *image, int32_t width, int32_t height,
                            const det_detection *detections, size_t count);

/* The same with more: DET_RESULTS_JSON. */
det_status det_results_frame_json(struct det_env *env, struct det_text *text,
                                  const det_model *model, const det_results_frame *frame,
                                  const det_detection *detections, size_t count);

/* The name of a detection's class, "class N" in `fallback` where the model (or NULL) has none. */
const char *det_results_class(char fallback[32], const det_model *model,
                              const det_detection *detection);
/* All that is written of it, in pixels too. */
bool det_results_finite(const det_detection *detection, int32_t width, int32_t height);

#endif
