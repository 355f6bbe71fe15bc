#include "detect/inputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "det/image.h"
#include "support/encoding.h"

static bool has_extension(const char *path, const char *const *list)
{
    const char *dot = strrchr(det_path_name(path), '.');
    for (; dot != NULL && *list != NULL; list++)
        if (strcasecmp(dot, *list) == 0)
            return true;
    return false;
}

bool is_video_name(const char *path)
{
    static const char *const extensions[] = {".mp4", ".m4v",  ".mov", ".mkv",   ".webm", ".avi",
                                             ".mpg", ".mpeg", ".ts",  ".m2ts",  ".flv",  ".wmv",
                                             ".3gp", ".ogv",  ".y4m", ".mjpeg", ".mjpg", NULL};
    static const char *const schemes[] = {
        "v4l2:", "rtsp:", "rtsps:", "rtmp:", "http:", "https:", "udp:", "tcp:", "srt:"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return has_extension(path, extensions);
}

static det_status add_file(struct det_env *env, struct inputs *inputs, const char *path)
{
    return det_path_list_add(env, is_video_name(path) ? &inputs->videos : &inputs->images, path);
}

static det_status add_folder(struct det_env *env, struct inputs *inputs, const char *folder)
{
    struct det_path_list files = {0};
    size_t taken = 0;
    det_status status = det_list_directory(env, folder, &files);
    for (size_t i = 0; status == DET_OK && i < files.count; i++)
        if (det_path_name(files.paths[i])[0] != '.' && /* "._a.jpg" of macOS is no picture */
            (det_image_extension(files.paths[i]) != NULL || is_video_name(files.paths[i])) &&
            !det_is_directory(files.paths[i])) {
            status = add_file(env, inputs, files.paths[i]);
            taken++;
        }
    det_path_list_free(env, &files);
    if (status == DET_OK && taken == 0)
        status = det_fail(
            env, DET_STATUS_NOT_FOUND,
            "%s: the folder holds no image (.jpg, .jpeg, .png, .bmp, .gif, .webp) and no video",
            folder);
    return status;
}

det_status inputs_add(struct det_env *env, struct inputs *inputs, const char *argument)
{
    struct det_path_list found = {0};
    if (strstr(argument, "://") != NULL || strncmp(argument, "v4l2:", 5) == 0)
        return add_file(env, inputs, argument);
    const bool is_pattern = strpbrk(argument, "*?[") != NULL && !det_file_exists(argument);
    /* A file need not be there yet: reading it will tell. */
    det_status status =
        is_pattern ? det_glob(env, argument, &found) : det_path_list_add(env, &found, argument);
    for (size_t i = 0; status == DET_OK && i < found.count; i++)
        status = det_is_directory(found.paths[i]) ? add_folder(env, inputs, found.paths[i])
                                                  : add_file(env, inputs, found.paths[i]);
    det_path_list_free(env, &found);
    return status;
}

static det_status read_stream(struct det_env *env, FILE *file, const char *path,
                              struct det_text *text)
{
    char part[4096];
    size_t got;
    DET_TRY_RETURN(det_text_append(env, text, "", 0));
    while ((got = fread(part, 1, sizeof part, file)) > 0)
        DET_TRY_RETURN(det_text_append(env, text, part, got));
    return ferror(file) ? det_fail(env, DET_STATUS_IO, "%s: cannot be read", path) : DET_OK;
}

/* Windows puts a mark in front of UTF-8, which is no part of the first name, and its shells write
 * UTF-16. Other bytes are names as they are: those of files need not be UTF-8. */
static det_status decode_list(struct det_env *env, const char *path, struct det_text *text)
{
    struct det_text decoded = {0};
    if (strncmp(text->data, "\xef\xbb\xbf", 3) != 0 && strncmp(text->data, "\xff\xfe", 2) != 0 &&
        strncmp(text->data, "\xfe\xff", 2) != 0)
        return DET_OK;
    const bool is_utf8 = text->data[0] == '\xef';
    const det_status status =
        is_utf8 ? det_text_append(env, &decoded, text->data + 3, text->length - 3)
                : det_decode_text(env, path, text->data, text->length, NULL, &decoded);
    det_text_free(env, text);
    *text = decoded;
    return status;
}

det_status inputs_add_list(struct det_env *env, struct inputs *inputs, const char *path)
{
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "r");
    struct det_text text = {0};
    char *rest = NULL;
    det_status status = DET_OK;
    if (file == NULL)
        return det_fail_errno(env, errno, "%s", path);
    DET_TRY(read_stream(env, file, path, &text));
    DET_TRY(decode_list(env, path, &text));
    for (char *line = strtok_r(text.data, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        const size_t length = strlen(line);
        if (line[length - 1] == '\r')
            line[length - 1] = '\0';
        if (line[0] != '\0')
            DET_TRY(inputs_add(env, inputs, line));
    }
fail:
    det_text_free(env, &text);
    if (!standard)
        fclose(file);
    return status;
}

void inputs_free(struct det_env *env, struct inputs *inputs)
{
    det_path_list_free(env, &inputs->images);
    det_path_list_free(env, &inputs->videos);
}
