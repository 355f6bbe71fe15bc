/* raccoon_config.h: a real pipeline.config, with changes. */
#ifndef DET_TESTS_SUPPORT_RACCOON_CONFIG_H
#define DET_TESTS_SUPPORT_RACCOON_CONFIG_H

#include "formats/pipeline_config.h"
#include "support/test.h"

/* Its text; malloc. */
char *raccoon_text(void);
/* `text` with the first `from` replaced by `to`; malloc. Empty `from` appends. */
char *text_edited(const char *text, const char *from, const char *to);
/* Of a file dir/c. */
det_status parse_config(struct det_env *env, const char *text, struct det_pipeline_config *config);

#endif
