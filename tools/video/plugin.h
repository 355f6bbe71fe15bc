/* plugin.h: what needs large libraries (FFmpeg loads 200, SDL 50) is a shared object of its own,
 * loaded when it is first needed: a tool that is given pictures starts without them. They lie in
 * ../lib/libdet/ seen from the program, in build/ as when installed. */
#ifndef DET_TOOLS_VIDEO_PLUGIN_H
#define DET_TOOLS_VIDEO_PLUGIN_H

#include "support/env.h"

/* *table: what `symbol` of ../lib/libdet/NAME.so is, a struct that begins with the build of the
 * tools that it is of (const char *, build.h), which must be this one. It stays loaded. Errors
 * begin with "WHAT: ". */
det_status plugin_load(struct det_env *env, const char *what, const char *name, const char *symbol,
                       const void **table);

#endif
