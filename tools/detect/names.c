#include "detect/names.h"

#include <string.h>

#include "support/id_map.h"
#include "support/mem.h"

enum { MOST_TOLD = 3 };

/* Names of one kind: which are taken, and by whom. */
struct taken {
    struct det_id_map owners; /* hash of a stem -> input */
    uint32_t *next;           /* [inputs + 1] number for the next one that has this input's name */
};

static int64_t hash(const char *text, int length)
{
    uint64_t value = 14695981039346656037U; /* FNV-1a */
    for (int i = 0; i < length; i++)
        value = (value ^ (unsigned char)text[i]) * 1099511628211U;
    return (int64_t)value;
}

/* What the input's file is called. */
static det_status plain_name(struct det_env *env, const char *input, bool is_video, char **name)
{
    if (strncmp(input, "v4l2:", 5) == 0)
        input += 5;
    const char *file = det_path_name(input);
    if (strcmp(input, "-") == 0)
        return det_strdup(env, name, is_video ? "stdin" : "stdin.png");
    return det_strdup(env, name, file[0] != '\0' ? file : "video");
}

/* "road_frame_000012", as a frame of the video "road" is called. */
static bool is_frame_name(const char *name, int stem, const struct names *names)
{
    int digits = 0;
    while (digits < stem && name[stem - 1 - digits] >= '0' && name[stem - 1 - digits] <= '9')
        digits++;
    const int before = stem - digits - (int)strlen("_frame_");
    if (digits < 6 || before < 1 || strncmp(name + before, "_frame_", strlen("_frame_")) != 0)
        return false;
    for (size_t i = 0; i < names->video_count; i++)
        if ((int)det_path_stem_length(names->videos[i]) == before &&
            memcmp(names->videos[i], name, (size_t)before) == 0)
            return true;
    return false;
}

static det_status number(struct det_env *env, struct taken *taken, uint32_t owner, uint32_t index,
                         char **name)
{
    const int stem = (int)det_path_stem_length(*name);
    char *numbered = NULL;
    uint32_t other = 0;
    do {
        det_free(env, &numbered);
        if (taken->next[owner] == 0)
            taken->next[owner] = 2;
        DET_TRY_RETURN(det_format(env, &numbered, "%.*s_%u%s", stem, *name, taken->next[owner]++,
                                  *name + stem));
    } while (det_id_map_find(&taken->owners, hash(numbered, (int)det_path_stem_length(numbered)),
                             &other));
    det_free(env, name);
    *name = numbered;
    return det_id_map_add(env, &taken->owners, hash(numbered, (int)det_path_stem_length(numbered)),
                          index);
}

static det_status tell(struct det_env *env, struct names *names, const char *input,
                       const char *name)
{
    if (names->changed++ >= MOST_TOLD)
        return DET_OK;
    return det_text_printf(env, &names->told, "%s%s is called %s", names->changed > 1 ? ", " : "",
                           input, name);
}

static det_status make(struct det_env *env, const struct det_path_list *inputs, bool is_video,
                       struct names *names, char **out)
{
    struct taken taken = {0};
    bool *again = NULL; /* inputs whose name another one has */
    det_status status = DET_OK;
    const uint32_t reserved = (uint32_t)inputs->count;
    DET_TRY(det_alloc(env, &taken.next, inputs->count + 1, sizeof *taken.next, "names"));
    DET_TRY(det_alloc(env, &again, inputs->count + 1, sizeof *again, "names"));
    if (!is_video) /* YOLO's classes.txt */
        DET_TRY(det_id_map_add(env, &taken.owners, hash("classes", 7), reserved));
    /* All plain names first: a file that is called x_2.jpg keeps its name. */
    for (size_t i = 0; i < inputs->count; i++) {
        uint32_t owner = 0;
        DET_TRY(plain_name(env, inputs->paths[i], is_video, &out[i]));
        const int stem = (int)det_path_stem_length(out[i]);
        again[i] = det_id_map_find(&taken.owners, hash(out[i], stem), &owner) ||
                   (!is_video && is_frame_name(out[i], stem, names));
        if (!again[i])
            DET_TRY(det_id_map_add(env, &taken.owners, hash(out[i], stem), (uint32_t)i));
    }
    for (size_t i = 0; i < inputs->count; i++) {
        uint32_t owner = reserved;
        if (!again[i])
            continue;
        det_id_map_find(&taken.owners, hash(out[i], (int)det_path_stem_length(out[i])), &owner);
        DET_TRY(number(env, &taken, owner, (uint32_t)i, &out[i]));
        DET_TRY(tell(env, names, inputs->paths[i], out[i]));
    }
fail:
    det_id_map_free(env, &taken.owners);
    det_free(env, &taken.next);
    det_free(env, &again);
    return status;
}

det_status names_make(struct det_env *env, const struct inputs *inputs, struct names *names)
{
    det_status status = DET_OK;
    const struct det_path_list *images = &inputs->images, *videos = &inputs->videos;
    *names = (struct names){.image_count = images->count, .video_count = videos->count};
    if (images->count >= UINT32_MAX || videos->count >= UINT32_MAX)
        return det_fail(env, DET_STATUS_UNSUPPORTED, "%zu images and %zu videos are too many",
                        images->count, videos->count);
    DET_TRY(det_alloc(env, &names->images, images->count, sizeof *names->images, "names"));
    DET_TRY(det_alloc(env, &names->videos, videos->count, sizeof *names->videos, "names"));
    DET_TRY(make(env, videos, true, names, names->videos));
    DET_TRY(make(env, images, false, names, names->images));
    return DET_OK;
fail:
    names_free(env, names);
    return status;
}

void names_free(struct det_env *env, struct names *names)
{
    for (size_t i = 0; names->images != NULL && i < names->image_count; i++)
        det_free(env, &names->images[i]);
    for (size_t i = 0; names->videos != NULL && i < names->video_count; i++)
        det_free(env, &names->videos[i]);
    det_free(env, &names->images);
    det_free(env, &names->videos);
    det_text_free(env, &names->told);
}
