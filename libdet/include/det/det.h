/* det/det.h: all of libdet's public API.
 *
 *   context.h          allocator, logger, threads, device: the handle every call starts from
 *   pipeline_config.h  reads pipeline.config             label_map.h  reads label_map.pbtxt
 *   model.h            weights: .det files, TensorFlow checkpoints, export
 *   checkpoints.h      the newest checkpoint of a folder
 *   trainer.h          training                          evaluation.h evaluation on TFRecords
 *   detector.h         detection in pixels               image.h      JPEG and PNG files, drawing
 *   coco.h             COCO figures for any detections   augmentation.h  data augmentation on its own
 *   recalibration.h    an exported model's batch norm statistics, taken anew
 */
#ifndef DET_DET_H
#define DET_DET_H

#include "det/augmentation.h"
#include "det/checkpoints.h"
#include "det/coco.h"
#include "det/context.h"
#include "det/detection_report.h"
#include "det/detector.h"
#include "det/evaluation.h"
#include "det/event_log.h"
#include "det/image.h"
#include "det/label_map.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/plot.h"
#include "det/recalibration.h"
#include "det/status.h"
#include "det/summary.h"
#include "det/tracker.h"
#include "det/trainer.h"
#include "det/version.h"

#endif
