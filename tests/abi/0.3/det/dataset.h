/* det/dataset.h of version 0.3, without its comments (tests/abi/snapshot.sh). */
#ifndef DET_DATASET_H
#define DET_DATASET_H
#include "det/context.h"
#include "det/detector.h"
#include "det/pipeline_config.h"
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct det_annotation_set det_annotation_set;
typedef enum det_severity {
    DET_SEVERITY_WARNING = 0,
    DET_SEVERITY_ERROR = 1,
    DET_SEVERITY_FATAL = 2
} det_severity;
typedef struct det_annotation_finding {
    size_t struct_size;
    const char *rule;
    det_severity severity;
    int reserved;
    const char *message;
    const char *where;
    int64_t image;
    int64_t object;
    int64_t line;
} det_annotation_finding;
typedef void (*det_finding_callback)(void *user, const det_annotation_finding *finding);
DET_API const char *det_annotation_rule(size_t index, det_severity *severity);
DET_API const char *det_annotation_format(size_t index);
DET_API const char *det_annotation_library(size_t index, const char **missing);
typedef enum det_exif_policy {
    DET_EXIF_AUTO = 0,
    DET_EXIF_APPLY = 1,
    DET_EXIF_IGNORE = 2
} det_exif_policy;
typedef struct det_annotation_set_settings {
    size_t struct_size;
    const char *encoding;
    det_exif_policy exif;
    int allow_no_boxes;
    det_finding_callback on_finding;
    void *user;
} det_annotation_set_settings;
DET_API void det_annotation_set_settings_init(det_annotation_set_settings *settings,
                                              size_t struct_size);
static inline void det_annotation_set_settings_default(det_annotation_set_settings *settings)
{
    det_annotation_set_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_annotation_set_create(
    det_context *context, const det_annotation_set_settings *settings, det_annotation_set **set);
DET_API void det_annotation_set_destroy(det_annotation_set **set);
DET_NODISCARD DET_API det_status det_annotation_set_load_label_map(det_annotation_set *set,
                                                                   const char *path);
DET_NODISCARD DET_API det_status det_annotation_set_check_config(det_annotation_set *set,
                                                                 const det_pipeline_config *config);
DET_NODISCARD DET_API det_status det_annotation_set_find_label_map(det_annotation_set *set,
                                                                   const char *source,
                                                                   const char **path);
DET_NODISCARD DET_API det_status det_annotation_set_add_image_folder(det_annotation_set *set,
                                                                     const char *path);
DET_NODISCARD DET_API det_status det_annotation_set_read(det_annotation_set *set,
                                                         const char *format, const char *path,
                                                         const char *split);
DET_NODISCARD DET_API det_status det_annotation_set_read_memory(det_annotation_set *set,
                                                                const char *format,
                                                                const char *name, const void *data,
                                                                size_t bytes, const char *split);
DET_API const char *det_annotation_set_format(const det_annotation_set *set);
typedef det_status (*det_annotation_reader_callback)(void *user, det_annotation_set *set,
                                                     const char *path, const char *split);
DET_NODISCARD DET_API det_status
det_annotation_set_add_reader(det_annotation_set *set, const char *format,
                              det_annotation_reader_callback callback, void *user);
DET_NODISCARD DET_API det_status det_annotation_set_add_class(det_annotation_set *set,
                                                              const char *name, int32_t *class_id);
typedef struct det_annotation_image {
    size_t struct_size;
    const char *path;
    const void *data;
    size_t bytes;
    const char *name;
    const char *folder;
    const char *source_id;
    const char *split;
    const char *where;
    int32_t width_px, height_px;
} det_annotation_image;
DET_NODISCARD DET_API det_status det_annotation_set_add_image(det_annotation_set *set,
                                                              const det_annotation_image *image,
                                                              size_t *position);
typedef struct det_annotation_object {
    size_t struct_size;
    const char *class_name;
    int32_t class_id;
    int in_pixels;
    double box[4];
    double area_px2;
    double weight;
    int difficult, group_of, is_crowd, truncated;
} det_annotation_object;
DET_API void det_annotation_object_init(det_annotation_object *object, size_t struct_size);
static inline void det_annotation_object_default(det_annotation_object *object)
{
    det_annotation_object_init(object, sizeof *object);
}
DET_NODISCARD DET_API det_status det_annotation_set_add_object(det_annotation_set *set,
                                                               size_t position,
                                                               const det_annotation_object *object);
DET_NODISCARD DET_API det_status det_annotation_set_add_finding(det_annotation_set *set,
                                                                const char *rule, size_t position,
                                                                const char *message);
DET_NODISCARD DET_API det_status det_annotation_set_resolve(det_annotation_set *set);
DET_API size_t det_annotation_set_image_count(const det_annotation_set *set);
DET_API size_t det_annotation_set_object_count(const det_annotation_set *set);
DET_API int32_t det_annotation_set_class_count(const det_annotation_set *set);
DET_API const char *det_annotation_set_class_name(const det_annotation_set *set, int32_t class_id);
DET_API size_t det_annotation_set_split_count(const det_annotation_set *set);
DET_API const char *det_annotation_set_split_name(const det_annotation_set *set, size_t index);
typedef struct det_annotation_image_info {
    size_t struct_size;
    const char *name;
    const char *source_id;
    const char *split;
    const char *path;
    const char *where;
    int32_t width_px, height_px;
    size_t object_count;
    int usable;
    int orientation;
} det_annotation_image_info;
DET_NODISCARD DET_API det_status det_annotation_set_image(det_annotation_set *set, size_t position,
                                                          det_annotation_image_info *info);
DET_NODISCARD DET_API det_status det_annotation_set_object(det_annotation_set *set, size_t position,
                                                           size_t index,
                                                           det_annotation_object *object);
DET_NODISCARD DET_API det_status det_annotation_set_set_objects(
    det_annotation_set *set, size_t position, const det_annotation_object *objects, size_t count);
DET_NODISCARD DET_API det_status det_annotation_set_set_split(det_annotation_set *set,
                                                              size_t position, const char *split);
DET_NODISCARD DET_API det_status det_annotation_set_drop_image(det_annotation_set *set,
                                                               size_t position);
DET_NODISCARD DET_API det_status det_annotation_set_check(det_annotation_set *set);
DET_API size_t det_annotation_set_finding_count(const det_annotation_set *set, const char *rule,
                                                det_severity least);
DET_NODISCARD DET_API det_status det_annotation_set_findings_json(det_annotation_set *set,
                                                                  const char **text);
typedef struct det_annotation_repairs {
    size_t struct_size;
    size_t images_dropped;
    size_t images_emptied;
    size_t images_thinned;
    size_t images_turned;
    size_t tags_removed;
    size_t sizes_corrected;
    size_t ids_changed;
    size_t boxes_clipped;
    size_t boxes_swapped;
    size_t boxes_dropped;
    size_t boxes_repeated;
    size_t boxes_unlisted;
    size_t classes_by_text;
} det_annotation_repairs;
DET_NODISCARD DET_API det_status det_annotation_set_repair(det_annotation_set *set,
                                                           det_annotation_repairs *repairs);
DET_NODISCARD DET_API det_status det_annotation_set_deal(det_annotation_set *set,
                                                         const char *const *names,
                                                         const double *shares, size_t count,
                                                         uint64_t seed);
typedef struct det_annotation_tile_settings {
    size_t struct_size;
    const det_tile_settings *tiles;
    double least_inside;
    double background;
    uint64_t seed;
} det_annotation_tile_settings;
DET_API void det_annotation_tile_settings_init(det_annotation_tile_settings *settings,
                                               size_t struct_size);
static inline void det_annotation_tile_settings_default(det_annotation_tile_settings *settings)
{
    det_annotation_tile_settings_init(settings, sizeof *settings);
}
typedef struct det_annotations_tiled {
    size_t struct_size;
    size_t images;
    size_t tiles, background;
    size_t left_out;
    size_t objects, clipped;
    size_t dropped;
} det_annotations_tiled;
DET_NODISCARD DET_API det_status
det_annotation_set_tile(det_annotation_set *set, const det_annotation_tile_settings *settings,
                        det_annotations_tiled *tiled);
typedef struct det_quantiles {
    double least, q05, median, q95, most, mean;
} det_quantiles;
typedef struct det_annotation_split_stats {
    size_t struct_size;
    size_t images;
    size_t objects;
    size_t images_without_objects;
    size_t difficult, crowd, group_of;
    size_t duplicates;
    det_quantiles objects_per_image;
    det_quantiles width_px, height_px;
} det_annotation_split_stats;
typedef struct det_annotation_class_stats {
    size_t struct_size;
    size_t objects;
    size_t images;
    size_t small, medium, large;
    det_quantiles side_px;
    det_quantiles aspect;
} det_annotation_class_stats;
DET_NODISCARD DET_API det_status det_annotation_set_split_stats(det_annotation_set *set,
                                                                const char *split,
                                                                det_annotation_split_stats *stats);
DET_NODISCARD DET_API det_status det_annotation_set_class_stats(det_annotation_set *set,
                                                                const char *split, int32_t class_id,
                                                                det_annotation_class_stats *stats);
DET_NODISCARD DET_API det_status det_annotation_set_stats_table(det_annotation_set *set,
                                                                const char **text);
DET_NODISCARD DET_API det_status det_annotation_set_stats_json(det_annotation_set *set,
                                                               const char **text);
typedef struct det_annotation_sheet_settings {
    size_t struct_size;
    int32_t count;
    int32_t columns;
    int32_t cell_px;
    int reserved;
    uint64_t seed;
    const det_pipeline_config *augmentation;
} det_annotation_sheet_settings;
DET_API void det_annotation_sheet_settings_init(det_annotation_sheet_settings *settings,
                                                size_t struct_size);
static inline void det_annotation_sheet_settings_default(det_annotation_sheet_settings *settings)
{
    det_annotation_sheet_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_annotation_set_write_sheet(
    det_annotation_set *set, const char *path, const det_annotation_sheet_settings *settings,
    int32_t *height, int32_t *width);
typedef struct det_annotation_report_settings {
    size_t struct_size;
    const char *title;
    const det_pipeline_config *config;
    int32_t input_px;
    int32_t samples;
    uint64_t seed;
} det_annotation_report_settings;
DET_API void det_annotation_report_settings_init(det_annotation_report_settings *settings,
                                                 size_t struct_size);
static inline void det_annotation_report_settings_default(det_annotation_report_settings *settings)
{
    det_annotation_report_settings_init(settings, sizeof *settings);
}
DET_NODISCARD DET_API det_status det_annotation_set_write_report(
    det_annotation_set *set, const char *path, const det_annotation_report_settings *settings);
typedef struct det_annotation_write_settings {
    size_t struct_size;
    int32_t shards;
    int without_images;
    const char *name;
} det_annotation_write_settings;
DET_API void det_annotation_write_settings_init(det_annotation_write_settings *settings,
                                                size_t struct_size);
static inline void det_annotation_write_settings_default(det_annotation_write_settings *settings)
{
    det_annotation_write_settings_init(settings, sizeof *settings);
}
typedef struct det_annotations_written {
    size_t struct_size;
    size_t images, objects;
    size_t copied, encoded;
    size_t renamed;
} det_annotations_written;
DET_NODISCARD DET_API det_status det_annotation_set_write(
    det_annotation_set *set, const char *format, const char *folder,
    const det_annotation_write_settings *settings, det_annotations_written *written);
#ifdef __cplusplus
}
#endif
#endif
