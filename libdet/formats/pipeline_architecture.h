/* pipeline_architecture.h: which network a pipeline.config is about. */
#ifndef DET_FORMATS_PIPELINE_ARCHITECTURE_H
#define DET_FORMATS_PIPELINE_ARCHITECTURE_H

#include "formats/pipeline_config.h"

/* Looked at before any other field, so that somebody with the config of another network is told
 * that, and not the first field of it that does not fit. UNSUPPORTED says which network it is, as
 * far as the type's name tells. Only config->document is read, merged. */
det_status det_pipeline_config_check_architecture(struct det_env *env,
                                                  const struct det_pipeline_config *config);

#endif
