/* det/export.h: symbol visibility. libdet is built with -fvisibility=hidden, only DET_API symbols leave it. */
#ifndef DET_EXPORT_H
#define DET_EXPORT_H

#if defined(__GNUC__)
#define DET_API __attribute__((visibility("default")))
#else
#define DET_API
#endif

#endif
