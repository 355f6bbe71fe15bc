/* det/context.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_CONTEXT_H
#define DET_CONTEXT_H
#include "det/export.h"
#include "det/status.h"
#include "det/version.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_context det_context;
typedef struct det_allocator {
    size_t struct_size;
    void *user;
    void *(*allocate)(void *user, size_t bytes, size_t alignment);
    void (*release)(void *user, void *memory);
} det_allocator;
typedef enum det_log_level {
    DET_LOG_DEBUG = 0,
    DET_LOG_INFO = 1,
    DET_LOG_WARNING = 2,
    DET_LOG_ERROR = 3
} det_log_level;
typedef struct det_logger {
    size_t struct_size;
    void *user;
    void (*write)(void *user, det_log_level level, const char *message);
} det_logger;
typedef struct det_context_settings {
    size_t struct_size;
    const det_allocator *allocator;
    const det_logger *logger;
    int threads;
    const char *cpu;
    const char *device;
    const char *precision;
    int deterministic;
    int no_graph;
    uint64_t max_image_pixels;
    int32_t max_jpeg_scans;
    size_t max_file_memory_bytes;
    int no_tuning;
    int reserved;
} det_context_settings;
DET_API void det_context_settings_init(det_context_settings *settings, size_t struct_size);
static inline void det_context_settings_default(det_context_settings *settings)
{
    det_context_settings_init(settings, sizeof *settings);
}
typedef struct det_error {
    char text[DET_ERROR_BYTES];
} det_error;
DET_NODISCARD DET_API det_status det_context_create_for(int header_abi, int header_version,
                                                        det_context **context,
                                                        const det_context_settings *settings,
                                                        det_error *error);
DET_NODISCARD static inline det_status det_context_create(det_context **context,
                                                          const det_context_settings *settings)
{
    return det_context_create_for(DET_ABI_VERSION, DET_VERSION, context, settings, NULL);
}
DET_NODISCARD static inline det_status
det_context_create_explained(det_context **context, const det_context_settings *settings,
                             det_error *error)
{
    return det_context_create_for(DET_ABI_VERSION, DET_VERSION, context, settings, error);
}
DET_API const char *det_backends(void);
DET_API const char *det_cpu_instruction_set(int index, const char **missing);
DET_API void det_context_destroy(det_context **context);
DET_API const char *det_context_error(const det_context *context);
DET_NODISCARD DET_API det_status det_context_fail(det_context *context, det_status status,
                                                  const char *message);
DET_NODISCARD DET_API det_status det_context_reads(det_context *context, const char *path);
DET_NODISCARD DET_API det_status det_context_writes(det_context *context, const char *what,
                                                    const char *path);
DET_API int det_context_threads(const det_context *context);
DET_API const char *det_context_device(const det_context *context);
#ifdef __cplusplus
}
#endif
#endif
