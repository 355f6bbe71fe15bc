#include "detect/pictures.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/output.h"
#include "detect/encode.h"
#include "detect/names.h"
#include "support/mem.h"

det_status pictures_open(struct tool *tool, const char *folder, const struct det_path_list *inputs)
{
    struct det_env *env = &tool->env;
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
    tool_tells_of_contents(tool, folder);
    return DET_OK;
}

static bool is_jpeg(const char *extension)
{
    return strcasecmp(extension, ".jpg") == 0 || strcasecmp(extension, ".jpeg") == 0;
}

bool pictures_can_write(const char *path)
{
    const char *extension = det_image_extension(path);
    return extension != NULL && (is_jpeg(extension) || strcasecmp(extension, ".png") == 0);
}

det_status pictures_write_file(struct det_env *env, det_context *context, const char *path,
                               const struct det_image *image)
{
    const bool jpeg = is_jpeg(det_image_extension(path));
    det_picture *picture = NULL;
    const uint8_t *data = NULL;
    size_t bytes = 0;
    det_status status = DET_OK;
    DET_TRY(encode_image(env, context, image, jpeg ? DET_PICTURE_JPEG : DET_PICTURE_PNG, 0,
                         &picture, &data, &bytes));
    DET_TRY(det_write_file(env, path, data, bytes));
fail:
    det_picture_destroy(&picture);
    return status;
}

det_status pictures_write(struct det_env *env, det_context *context, const char *folder,
                          const char *name, const struct det_image *image)
{
    /* The extension stays where such a file can be written. */
    const int stem = (int)det_path_stem_length(name);
    char *path = NULL;
    det_status status = DET_OK;
    DET_TRY(det_path_join_printf(env, &path, folder, "%.*s%s", stem, name,
                                 pictures_can_write(name) ? name + stem : ".png"));
    DET_TRY(pictures_write_file(env, context, path, image));
fail:
    det_free(env, &path);
    return status;
}
