/* det/plot.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_PLOT_H
#define DET_PLOT_H
#include "det/context.h"
#ifdef __cplusplus
extern "C" {
#endif
DET_NODISCARD DET_API det_status det_plot_write(det_context *context, const char *model_dir,
                                                const char *path);
#ifdef __cplusplus
}
#endif
#endif
