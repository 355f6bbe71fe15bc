/* build.h: which build of libdet this is, and where it is to be installed. The Makefile knows
 * both. */
#ifndef DET_BASE_BUILD_H
#define DET_BASE_BUILD_H

/* The version and a hash over libdet/: "0.1.0-5a387b5e01c2". Internal structs are the same on both
 * sides of a border (of a library that is loaded, base/library.h) where it is. */
extern const char det_build[];

/* The folder of what is loaded at run time: PREFIX/lib/libdet. */
extern const char det_build_folder[];

/* "gcc 12.2.0" */
extern const char det_build_compiler[];

#endif
