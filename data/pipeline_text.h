/* pipeline_text.h: the demo's pipeline.config. */
#ifndef DEMO_PIPELINE_TEXT_H
#define DEMO_PIPELINE_TEXT_H

#include <stddef.h>

/* Pieces of the file, NULL at the end. @name@ stands for what the writer puts there. */
extern const char *const pipeline_text[];

#endif
