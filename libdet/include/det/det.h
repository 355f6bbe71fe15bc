/* det/det.h: all of libdet's public API.
 *
 *   context.h          allocator, logger, threads, device: the handle every call starts from
 *   pipeline_config.h  reads pipeline.config, from a file or memory
 *   label_map.h        reads label_map.pbtxt, likewise
 *   model.h            weights: .det files, TensorFlow checkpoints, export
 *   checkpoints.h      the newest checkpoint of a folder
 *   trainer.h          training
 *   evaluation.h       COCO figures and losses
 *   sample_source.h    images and boxes of one's own for both, in place of TFRecords
 *   detector.h         detection in pixels, also a camera's or decoder's, and in a region of them
 *   results.h          detections as text: lines of JSON, CVAT, YOLO, labels
 *   image.h            JPEG, PNG and other files to pixels and back
 *   draw.h             boxes, lines and notes drawn into pixels, also a program's own
 *   boxes.h            anchors, encodings, overlaps, suppression on arrays of one's own
 *   losses.h           the losses of training, likewise
 *   export_formats.h   a model as the file of another engine, proved equal
 *   dataset.h          labelled data sets: read, build, check, repair, split, count, write
 *                      (TFRecord, COCO, Pascal VOC, YOLO, ...)
 *   starter.h          the pipeline.config of a first training, made for a data set
 *   review.h           likely label errors, and what to label next
 *   coco.h             COCO figures for any detections
 *   detection_report.h curves, confusion and thresholds of them
 *   augmentation.h     data augmentation on its own
 *   quantisation.h     a model in 8 bits
 *   communicator.h     training by several processes and machines
 *   recalibration.h    an exported model's batch norm statistics, taken anew
 *   tracker.h          tracks and counts of the detections of a video
 *   summary.h          event files for TensorBoard; event_log.h reads them, plot.h draws them
 *   status.h           what a call says; version.h: which library this is
 *
 * NULL. Settings may be NULL, which means the defaults, as may an array without elements and what
 * its comment says so of. Any other pointer must be there. Where it is not, a function that returns
 * a status returns INVALID_ARGUMENT, with the message "FUNCTION: ARGUMENT is NULL" in the context
 * (not where the context itself, or the handle that has one, is missing); a function that returns a
 * value returns what it has for nothing (0, NULL, ""; an AP of -1); no function crashes or changes
 * anything. A destroy function takes NULL and the address of NULL.
 *
 * After a failure results are NULL, 0 or empty.
 *
 * Structs that grow begin with struct_size, and programs stay in step with the library by it, older
 * or newer (docs/abi.md). Settings get it from their default function; in what the library fills,
 * and in the few small structs without a default function, the caller sets it: det_step_report
 * report = {.struct_size = sizeof report}. Structs without it never grow.
 */
#ifndef DET_DET_H
#define DET_DET_H

#include "det/augmentation.h"
#include "det/boxes.h"
#include "det/checkpoints.h"
#include "det/coco.h"
#include "det/communicator.h"
#include "det/context.h"
#include "det/dataset.h"
#include "det/detection_report.h"
#include "det/detector.h"
#include "det/draw.h"
#include "det/evaluation.h"
#include "det/event_log.h"
#include "det/export_formats.h"
#include "det/image.h"
#include "det/label_map.h"
#include "det/losses.h"
#include "det/model.h"
#include "det/pipeline_config.h"
#include "det/plot.h"
#include "det/quantisation.h"
#include "det/recalibration.h"
#include "det/results.h"
#include "det/review.h"
#include "det/sample_source.h"
#include "det/starter.h"
#include "det/status.h"
#include "det/summary.h"
#include "det/tracker.h"
#include "det/trainer.h"
#include "det/version.h"

#endif
