#include "base/build.h"

#include "det/version.h"

/* DET_SOURCES, DET_FOLDER */
#include "build_names.h"

const char det_build[] = DET_VERSION_STRING "-" DET_SOURCES;
const char det_build_folder[] = DET_FOLDER;

#ifdef __clang__
const char det_build_compiler[] = "clang " __clang_version__;
#else
const char det_build_compiler[] = "gcc " __VERSION__;
#endif
