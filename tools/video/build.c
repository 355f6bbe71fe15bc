#include "video/build.h"

#include "det/version.h"
/* Made by the Makefile. */
#include "tools_names.h"

const char tools_build[] = DET_VERSION_STRING "-" DET_TOOLS;
