#include "detect/pictures.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "detect/inputs.h"

det_status pictures_open(struct det_env *env, const char *folder,
                         const struct det_path_list *inputs, struct pictures *pictures)
{
    struct stat output, input;
    pictures->folder = folder;
    DET_TRY_RETURN(det_make_directories(env, folder));
    if (stat(folder, &output) != 0)
        return DET_OK;
    for (size_t i = 0; i < inputs->count; i++) {
        char *path = NULL;
        DET_TRY_RETURN(det_path_directory(env, &path, inputs->paths[i]));
        const bool same = strcmp(inputs->paths[i], "-") != 0 && stat(path, &input) == 0 &&
                          input.st_dev == output.st_dev && input.st_ino == output.st_ino;
        det_free(env, &path);
        if (same)
            return det_fail(env, DET_STATUS_INVALID_ARGUMENT,
                            "--output %s: is the folder of the input %s, which would be "
                            "overwritten: choose another one",
                            folder, inputs->paths[i]);
    }
    return DET_OK;
}

static int64_t hash_name(const char *name)
{
    uint64_t hash = 14695981039346656037U; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211U;
    return (int64_t)hash;
}

static det_status unique_path(struct det_env *env, struct pictures *pictures, const char *source,
                              char **path)
{
    const char *name = strcmp(source, "-") == 0 ? "stdin" : det_path_name(source);
    const char *extension = is_image_name(name) ? strrchr(name, '.') : ".png";
    const int stem = is_image_name(name) ? (int)(extension - name) : (int)strlen(name);
    char *unique = NULL;
    uint32_t index = 0;
    for (int n = 1;; n++) {
        det_free(env, &unique);
        DET_TRY_RETURN(n == 1 ? det_format(env, &unique, "%.*s%s", stem, name, extension)
                              : det_format(env, &unique, "%.*s_%d%s", stem, name, n, extension));
        if (!det_id_map_find(&pictures->taken, hash_name(unique), &index))
            break;
    }
    det_status status = det_id_map_add(env, &pictures->taken, hash_name(unique), 0);
    if (status == DET_OK)
        status = det_path_join(env, path, pictures->folder, unique);
    det_free(env, &unique);
    return status;
}

det_status pictures_write(struct det_env *env, struct pictures *pictures, const char *source,
                          const struct det_image *image)
{
    char *path = NULL;
    DET_TRY_RETURN(unique_path(env, pictures, source, &path));
    const det_status status = det_image_write(env, path, image);
    det_free(env, &path);
    return status;
}

void pictures_free(struct det_env *env, struct pictures *pictures)
{
    det_id_map_free(env, &pictures->taken);
}
