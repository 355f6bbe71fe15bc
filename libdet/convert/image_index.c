#include "convert/image_index.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "data/image.h"

enum { MOST_DEPTH = 16 };

static det_status add_image(struct det_env *env, void *user, const char *path)
{
    struct det_image_index *index = user;
    return det_image_extension(path) != NULL ? det_path_list_add(env, &index->paths, path) : DET_OK;
}

det_status det_image_index_add(struct det_env *env, struct det_image_index *index,
                               const struct det_files *files, const char *directory)
{
    return det_files_walk(env, files, directory, MOST_DEPTH, add_image, index);
}

static size_t stem_length(const char *name)
{
    const char *extension = det_image_extension(name);
    return extension != NULL ? (size_t)(extension - name) : strlen(name);
}

static int compare_stems(const char *a, size_t a_length, const char *b, size_t b_length)
{
    const int order = strncasecmp(a, b, a_length < b_length ? a_length : b_length);
    return order != 0 ? order : a_length < b_length ? -1 : a_length > b_length;
}

static int by_stem(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    const char *x_name = det_path_name(x), *y_name = det_path_name(y);
    const int order = compare_stems(x_name, stem_length(x_name), y_name, stem_length(y_name));
    return order != 0 ? order : strcmp(x, y);
}

void det_image_index_sort(struct det_image_index *index)
{
    if (index->paths.count > 0)
        qsort(index->paths.paths, index->paths.count, sizeof *index->paths.paths, by_stem);
}

void det_image_index_free(struct det_env *env, struct det_image_index *index)
{
    det_path_list_free(env, &index->paths);
}

/* How many folders right above the file have the same name in both. */
static int shared_folders(const char *path, const char *name)
{
    const char *a = det_path_name(path), *b = det_path_name(name);
    int shared = 0;
    while (a > path && b > name && a[-1] == '/' && b[-1] == '/') {
        const char *a_end = --a, *b_end = --b;
        a = det_path_part(path, a);
        b = det_path_part(name, b);
        if (a_end - a != b_end - b || memcmp(a, b, (size_t)(a_end - a)) != 0)
            break;
        shared++;
    }
    return shared;
}

/* 3: the same name; 2: another kind of image; 1: other capitals. */
static int likeness(const char *path, const char *name)
{
    const char *have = det_path_name(path), *want = det_path_name(name);
    if (strcmp(have, want) == 0)
        return 3;
    return strncmp(have, want, stem_length(want)) == 0 ? 2 : 1;
}

struct det_image_match det_image_index_find(const struct det_image_index *index, const char *name,
                                            bool exact)
{
    struct det_image_match match = {0};
    const char *want = det_path_name(name);
    const size_t length = stem_length(want);
    int best_likeness = 0, best_shared = 0;
    size_t low = 0, high = index->paths.count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const char *have = det_path_name(index->paths.paths[middle]);
        if (compare_stems(have, stem_length(have), want, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < index->paths.count; low++) {
        const char *path = index->paths.paths[low], *have = det_path_name(path);
        if (compare_stems(have, stem_length(have), want, length) != 0)
            break;
        const int like = likeness(path, name), shared = shared_folders(path, name);
        if (match.path != NULL && strcmp(path, match.path) == 0)
            continue; /* two of the folders hold it */
        if ((exact && like < 3) || like < best_likeness ||
            (like == best_likeness && shared < best_shared))
            continue;
        match.other = like == best_likeness && shared == best_shared ? match.path : NULL;
        match.path = path;
        best_likeness = like;
        best_shared = shared;
    }
    return match;
}
