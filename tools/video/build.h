/* build.h: which build of the tools this is. A program and what it loads (plugin.h) hand structs of
 * tools/ and support/ to each other: they are the same on both sides where it is. */
#ifndef DET_TOOLS_VIDEO_BUILD_H
#define DET_TOOLS_VIDEO_BUILD_H

/* The version and a hash over both folders: "0.1.0-5a387b5e01c2". */
extern const char tools_build[];

#endif
