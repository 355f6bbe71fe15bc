/* label_map_api.c: the public face of label_map.h. */
#include "det/label_map.h"

#include <string.h>

#include "base/arguments.h"
#include "base/context.h"
#include "formats/label_map.h"
#include "support/mem.h"

static det_status finish(struct det_env *env, det_status status, det_label_map **map)
{
    if (status != DET_OK)
        det_free(env, map);
    else
        (*map)->env = env;
    return status;
}

det_status det_label_map_load(det_context *context, const char *path, det_label_map **map)
{
    struct det_env *env = det_context_env(context);
    if (map != NULL)
        *map = NULL;
    DET_NEED(env, context);
    DET_NEED(env, path);
    DET_NEED(env, map);
    DET_TRY_RETURN(det_alloc(env, map, 1, sizeof **map, "label map"));
    return finish(env, det_label_map_read(env, path, *map), map);
}

det_status det_label_map_parse(det_context *context, const char *name, const char *text,
                               size_t bytes, det_label_map **map)
{
    struct det_env *env = det_context_env(context);
    if (map != NULL)
        *map = NULL;
    DET_NEED(env, context);
    DET_NEED(env, name);
    DET_NEED_ARRAY(env, text, bytes);
    DET_NEED(env, map);
    DET_TRY_RETURN(det_alloc(env, map, 1, sizeof **map, "label map"));
    return finish(env, det_label_map_read_text(env, name, text != NULL ? text : "", bytes, *map),
                  map);
}

void det_label_map_destroy(det_label_map **map)
{
    if (map == NULL || *map == NULL)
        return;
    struct det_env *env = (*map)->env;
    det_label_map_free(env, *map);
    det_free(env, map);
}

int32_t det_label_map_count(const det_label_map *map)
{
    return map == NULL ? 0 : map->count;
}

const char *det_label_map_name(const det_label_map *map, int32_t class_id)
{
    return class_id >= 1 && class_id <= det_label_map_count(map) ? map->names[class_id - 1] : NULL;
}

const char *det_label_map_display_name(const det_label_map *map, int32_t class_id)
{
    return class_id >= 1 && class_id <= det_label_map_count(map) ? map->display_names[class_id - 1]
                                                                 : NULL;
}

int32_t det_label_map_id(const det_label_map *map, const char *name)
{
    if (map == NULL || name == NULL)
        return 0;
    const int32_t id = det_label_map_find(map, name, strlen(name));
    return id > 0 ? id : 0;
}
