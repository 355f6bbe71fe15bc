#include "convert/read/yolo_paths.h"

#include <string.h>

#include "data/image.h"
#include "support/mem.h"

/* --- labels of images --- */

det_status det_yolo_label_path(struct det_env *env, const struct det_files *files,
                               const char *image, char **out)
{
    const char *extension = det_image_extension(image);
    const size_t stem = extension != NULL ? (size_t)(extension - image) : strlen(image);
    const char *images = NULL;
    for (const char *at = strstr(image, "images/"); at != NULL; at = strstr(at + 1, "images/"))
        if (at == image || at[-1] == '/')
            images = at;
    if (images != NULL) {
        const size_t before = (size_t)(images - image), behind = before + strlen("images");
        DET_TRY_RETURN(det_format(env, out, "%.*slabels%.*s.txt", (int)before, image,
                                  (int)(stem - behind), image + behind));
        if (det_files_exists(files, *out))
            return DET_OK;
        det_free(env, out);
    }
    return det_format(env, out, "%.*s.txt", (int)stem, image);
}

det_status det_yolo_label_folder(struct det_env *env, const char *folder, char **out)
{
    const char *end = folder + strlen(folder), *images = NULL;
    for (const char *at = strstr(folder, "images"); at != NULL; at = strstr(at + 1, "images"))
        if ((at == folder || at[-1] == '/') && (at + 6 == end || at[6] == '/'))
            images = at;
    if (images == NULL)
        return det_strdup(env, out, folder);
    return det_format(env, out, "%.*slabels%s", (int)(images - folder), folder, images + 6);
}

/* --- finding what a path means --- */

det_status det_yolo_is_there(struct det_env *env, const struct det_files *files, const char *path,
                             bool *there)
{
    char *labels = NULL;
    *there = det_files_exists(files, path);
    if (*there)
        return DET_OK;
    DET_TRY_RETURN(det_image_extension(path) != NULL
                       ? det_yolo_label_path(env, files, path, &labels)
                       : det_yolo_label_folder(env, path, &labels));
    *there = det_files_exists(files, labels);
    det_free(env, &labels);
    return DET_OK;
}

struct resolving {
    struct det_env *env;
    const struct det_files *files;
    const struct det_yolo_places *places;
    char *path; /* found; NULL: not yet */
};

static det_status attempt(struct resolving *r, const char *folder, const char *name)
{
    char *path = NULL;
    bool there = false;
    if (r->path != NULL || folder == NULL || name[0] == '\0')
        return DET_OK;
    det_status status = det_path_join(r->env, &path, folder, name);
    if (status == DET_OK)
        status = det_yolo_is_there(r->env, r->files, path, &there);
    if (status == DET_OK && there)
        r->path = path;
    else
        det_free(r->env, &path);
    return status;
}

/* Behind the "C:/" or "/" that no other machine shares. */
static const char *without_root(const char *name)
{
    if (name[0] != '\0' && name[1] == ':')
        name += 2;
    return name + strspn(name, "/");
}

static det_status attempt_all(struct resolving *r, const char *name, enum det_yolo_found *found)
{
    const struct det_yolo_places *p = r->places;
    /* A data set in an archive has no business outside it. */
    const bool archived = det_files_archive_of(r->files, p->root) != NULL;
    const char *tail = name;
    *found = DET_YOLO_AS_WRITTEN;
    if (name[0] != '/' || !archived) {
        DET_TRY_RETURN(attempt(r, p->data_root, name));
        DET_TRY_RETURN(attempt(r, p->root, name));
        DET_TRY_RETURN(attempt(r, p->folder, name));
    }
    while (r->path == NULL && strncmp(tail, "../", 3) == 0) {
        tail += 3;
        DET_TRY_RETURN(attempt(r, p->data_root, tail));
        DET_TRY_RETURN(attempt(r, p->root, tail));
    }
    /* CVAT: "data/" stands for the folder that the export is unpacked in. */
    if (strncmp(tail, "data/", 5) == 0)
        DET_TRY_RETURN(attempt(r, p->root, tail + 5));
    if (r->path != NULL)
        return DET_OK;
    *found = DET_YOLO_NEAR;
    for (tail = without_root(tail); tail != NULL && r->path == NULL; tail = strchr(tail, '/')) {
        tail += strspn(tail, "/");
        if (strncmp(tail, "../", 3) != 0 && strncmp(tail, "./", 2) != 0)
            DET_TRY_RETURN(attempt(r, p->root, tail));
    }
    return DET_OK;
}

det_status det_yolo_resolve(struct det_env *env, const struct det_files *files,
                            const struct det_yolo_places *places, const char *written, char **out,
                            enum det_yolo_found *found)
{
    struct resolving r = {.env = env, .files = files, .places = places};
    char *name = NULL;
    det_status status = DET_OK;
    *out = NULL;
    while (strncmp(written, "./", 2) == 0)
        written += 2;
    DET_TRY(det_strdup(env, &name, written));
    det_path_use_slashes(name);
    name[det_path_length(name)] = '\0';
    DET_TRY(attempt_all(&r, name, found));
    if (r.path == NULL) {
        *found = DET_YOLO_NOT_FOUND;
        DET_TRY(det_path_join(env, &r.path, places->root, name));
    }
    *out = r.path;
    r.path = NULL;
fail:
    det_free(env, &r.path);
    det_free(env, &name);
    return status;
}
