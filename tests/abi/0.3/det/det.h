/* det/det.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
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
