#include "eval/evaluation_found.h"

#include <string.h>

#include "support/mem.h"

struct head {
    int64_t image;
    double localization, classification;
    int32_t height, width;
    int32_t objects, detections;
};

enum { ARRAYS = 9 };

struct array {
    void *data;
    size_t bytes;
};

/* In the order in which they lie behind the head; the counts of `found` say how long they are. */
static void arrays_of(const struct det_evaluation_found *found, struct array arrays[ARRAYS])
{
    const struct det_ground_truth *truth = &found->truth;
    const struct det_detections *detections = &found->detections;
    const size_t objects = (size_t)truth->count, count = (size_t)detections->count;
    const struct array all[ARRAYS] = {
        {truth->boxes, objects * sizeof *truth->boxes},
        {truth->class_index, objects * sizeof *truth->class_index},
        {truth->area_px, objects * sizeof *truth->area_px},
        {truth->is_crowd, objects * sizeof *truth->is_crowd},
        {truth->difficult, objects * sizeof *truth->difficult},
        {truth->group_of, objects * sizeof *truth->group_of},
        {detections->boxes, count * sizeof *detections->boxes},
        {detections->class_index, count * sizeof *detections->class_index},
        {detections->score, count * sizeof *detections->score},
    };
    memcpy(arrays, all, sizeof all);
}

static size_t sum_of(const struct array arrays[ARRAYS])
{
    size_t sum = 0;
    for (int i = 0; i < ARRAYS; i++)
        sum += arrays[i].bytes;
    return sum;
}

det_status det_evaluation_found_append(struct det_env *env,
                                       const struct det_evaluation_found *found,
                                       struct det_evaluation_bytes *bytes)
{
    const struct head head = {
        .image = found->image,
        .localization = found->localization,
        .classification = found->classification,
        .height = found->height,
        .width = found->width,
        .objects = found->truth.count,
        .detections = found->detections.count,
    };
    struct array arrays[ARRAYS];
    arrays_of(found, arrays);
    DET_TRY_RETURN(det_grow(env, &bytes->data, &bytes->capacity,
                            bytes->count + sizeof head + sum_of(arrays), 1,
                            "what was found in images"));
    memcpy(bytes->data + bytes->count, &head, sizeof head);
    bytes->count += sizeof head;
    for (int i = 0; i < ARRAYS; i++) {
        if (arrays[i].bytes > 0)
            memcpy(bytes->data + bytes->count, arrays[i].data, arrays[i].bytes);
        bytes->count += arrays[i].bytes;
    }
    return DET_OK;
}

static void free_detections(struct det_env *env, struct det_evaluation_found *found)
{
    det_free(env, &found->detections.boxes);
    det_free(env, &found->detections.class_index);
    det_free(env, &found->detections.score);
    found->detections.count = found->room = 0;
}

/* Arrays that are there, also of nothing. */
static det_status reserve_detections(struct det_env *env, struct det_evaluation_found *found,
                                     int32_t count)
{
    struct det_detections *d = &found->detections;
    const size_t room = count > 0 ? (size_t)count : 1;
    if (d->boxes != NULL && count <= found->room)
        return DET_OK;
    free_detections(env, found);
    DET_TRY_RETURN(det_alloc_raw(env, &d->boxes, room, sizeof *d->boxes, "detections"));
    DET_TRY_RETURN(det_alloc_raw(env, &d->class_index, room, sizeof *d->class_index, "detections"));
    DET_TRY_RETURN(det_alloc_raw(env, &d->score, room, sizeof *d->score, "detections"));
    found->room = (int32_t)room;
    return DET_OK;
}

static bool are_classes(const int32_t *class_index, int32_t count, int32_t classes)
{
    for (int32_t i = 0; i < count; i++)
        if (class_index[i] < 0 || class_index[i] >= classes)
            return false;
    return true;
}

static det_status fail_corrupt(struct det_env *env, struct det_evaluation_found *found,
                               const char *what)
{
    found->truth.count = found->detections.count = 0;
    return det_fail(env, DET_STATUS_CORRUPT, "what was found in image %lld: %s",
                    (long long)found->image, what);
}

det_status det_evaluation_found_read(struct det_env *env, const uint8_t *data, size_t *at,
                                     size_t end, int32_t classes,
                                     struct det_evaluation_found *found)
{
    struct head head = {0};
    struct array arrays[ARRAYS];
    found->truth.count = found->detections.count = 0;
    if (*at > end || end - *at < sizeof head)
        return fail_corrupt(env, found, "bytes are missing");
    memcpy(&head, data + *at, sizeof head);
    found->image = head.image;
    if (head.objects < 0 || head.detections < 0 || head.height < 1 || head.width < 1)
        return fail_corrupt(env, found, "a count or a size is none");
    found->truth.count = head.objects;
    found->detections.count = head.detections;
    arrays_of(found, arrays);
    if (sum_of(arrays) > end - *at - sizeof head)
        return fail_corrupt(env, found, "bytes are missing");
    found->truth.count = found->detections.count = 0;
    DET_TRY_RETURN(reserve_detections(env, found, head.detections));
    DET_TRY_RETURN(det_ground_truth_reserve(env, &found->truth, head.objects));
    found->localization = head.localization;
    found->classification = head.classification;
    found->height = head.height;
    found->width = head.width;
    found->truth.count = head.objects;
    found->detections.count = head.detections;
    arrays_of(found, arrays);
    *at += sizeof head;
    for (int i = 0; i < ARRAYS; i++) {
        if (arrays[i].bytes > 0)
            memcpy(arrays[i].data, data + *at, arrays[i].bytes);
        *at += arrays[i].bytes;
    }
    if (!are_classes(found->truth.class_index, head.objects, classes) ||
        !are_classes(found->detections.class_index, head.detections, classes))
        return fail_corrupt(env, found, "a class is none of the model's");
    return DET_OK;
}

void det_evaluation_found_free(struct det_env *env, struct det_evaluation_found *found)
{
    det_ground_truth_free(env, &found->truth);
    free_detections(env, found);
}
