/* det/export.h: marks of declarations. libdet is built with -fvisibility=hidden, only DET_API
 * symbols leave it; a caller that does not look at what a DET_NODISCARD function returns is
 * warned. */
#ifndef DET_EXPORT_H
#define DET_EXPORT_H

#if defined(__GNUC__)
#define DET_API __attribute__((visibility("default")))
#else
#define DET_API
#endif

/* Stands before DET_API: standard attributes come first. */
#if (defined(__cplusplus) && __cplusplus >= 201703L) || \
    (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define DET_NODISCARD [[nodiscard]]
#elif defined(__GNUC__)
#define DET_NODISCARD __attribute__((warn_unused_result))
#else
#define DET_NODISCARD
#endif

#endif
