/* picture_libraries.h: which versions of the libraries that decode pictures are in use. */
#ifndef DET_DATA_PICTURE_LIBRARIES_H
#define DET_DATA_PICTURE_LIBRARIES_H

/* Version of library `index`, whose name goes to *name; NULL behind the last. Static text. */
const char *det_picture_library(int index, const char **name);

#endif
