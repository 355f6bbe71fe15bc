/* files_stem.c: see files.h: images by their names without extension; each folder is listed
 * once. */
#include <string.h>

#include "convert/files.h"
#include "data/image.h"
#include "support/mem.h"

struct det_folder_listing {
    char *directory;
    struct det_path_list paths;
};

void det_files_forget_listings(struct det_env *env, struct det_files *files)
{
    for (size_t i = 0; i < files->listing_count; i++) {
        det_free(env, &files->listings[i].directory);
        det_path_list_free(env, &files->listings[i].paths);
    }
    det_free(env, &files->listings);
    det_id_map_free(env, &files->listing_map);
}

static det_status listing_of(struct det_env *env, struct det_files *files, const char *directory,
                             const struct det_path_list **paths)
{
    const int64_t id = det_id_of_text(directory);
    uint32_t found = 0;
    if (det_id_map_find(&files->listing_map, id, &found) &&
        strcmp(files->listings[found].directory, directory) == 0) {
        *paths = &files->listings[found].paths;
        return DET_OK;
    }
    DET_TRY_RETURN(det_grow(env, &files->listings, &files->listing_capacity,
                            files->listing_count + 1, sizeof *files->listings, "folders"));
    struct det_folder_listing *listing = &files->listings[files->listing_count++];
    DET_TRY_RETURN(det_strdup(env, &listing->directory, directory));
    if (det_files_is_directory(files, directory)) {
        const det_status status = det_files_list(env, files, directory, &listing->paths);
        if (status == DET_STATUS_OUT_OF_MEMORY)
            return status;
        /* A folder that cannot be read holds nothing that could be found. */
    }
    if (!det_id_map_find(&files->listing_map, id, &found))
        DET_TRY_RETURN(
            det_id_map_add(env, &files->listing_map, id, (uint32_t)files->listing_count - 1));
    *paths = &listing->paths;
    return DET_OK;
}

det_status det_files_find_stem(struct det_env *env, struct det_files *files, const char *directory,
                               const char *stem, char **path)
{
    const struct det_path_list *paths = NULL;
    const size_t length = strlen(stem);
    *path = NULL;
    DET_TRY_RETURN(listing_of(env, files, directory, &paths));
    size_t low = 0, high = paths->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (strncmp(det_path_name(paths->paths[middle]), stem, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < paths->count; low++) {
        const char *name = det_path_name(paths->paths[low]);
        if (strncmp(name, stem, length) != 0)
            break;
        if (det_image_extension(name) == name + length)
            return det_strdup(env, path, paths->paths[low]);
    }
    return DET_OK;
}
