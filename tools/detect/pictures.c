#include "detect/pictures.h"

#include <string.h>
#include <sys/stat.h>

#include "detect/names.h"
#include "support/mem.h"

det_status pictures_open(struct det_env *env, const char *folder,
                         const struct det_path_list *inputs)
{
    struct stat output, input;
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

/* The extension stays where such a file can be written. */
static const char *written_extension(const char *name)
{
    const enum det_image_kind kind = det_image_kind_of_name(name);
    return kind == DET_IMAGE_JPEG || kind == DET_IMAGE_PNG ? name + det_path_stem_length(name)
                                                           : ".png";
}

det_status pictures_write(struct det_env *env, const char *folder, const char *name,
                          const struct det_image *image)
{
    char *path = NULL;
    DET_TRY_RETURN(det_path_join_printf(env, &path, folder, "%.*s%s",
                                        (int)det_path_stem_length(name), name,
                                        written_extension(name)));
    const det_status status = det_image_write(env, path, image);
    det_free(env, &path);
    return status;
}
