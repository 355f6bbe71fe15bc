/* det/communicator.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_COMMUNICATOR_H
#define DET_COMMUNICATOR_H
#include "det/context.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_communicator det_communicator;
typedef struct det_communicator_settings {
    size_t struct_size;
    double silence_seconds;
    void (*lost)(void *user, det_status status, const char *message, int first_hand);
    void *lost_user;
    double standstill_seconds;
} det_communicator_settings;
DET_API void det_communicator_settings_init(det_communicator_settings *settings,
                                            size_t struct_size);
static inline void det_communicator_settings_default(det_communicator_settings *settings)
{
    det_communicator_settings_init(settings, sizeof *settings);
}
DET_API int32_t det_launched_ranks(void);
DET_API int32_t det_launched_rank(void);
DET_API const char *det_mpi_library(void);
DET_NODISCARD DET_API det_status
det_communicator_open_mpi(det_context *context, const det_communicator_settings *settings,
                          det_communicator **communicator);
DET_API void det_communicator_close(det_communicator **communicator);
DET_API int32_t det_communicator_rank(const det_communicator *communicator);
DET_API int32_t det_communicator_size(const det_communicator *communicator);
DET_API const char *det_communicator_host(const det_communicator *communicator, int32_t rank);
DET_NODISCARD DET_API det_status det_communicator_agree(det_communicator *communicator,
                                                        det_status status, const char *message);
DET_API void det_communicator_give_up(det_communicator *communicator, det_status status,
                                      const char *message);
#ifdef __cplusplus
}
#endif
#endif
