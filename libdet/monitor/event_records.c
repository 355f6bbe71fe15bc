#include "monitor/event_records.h"

#include <string.h>

#include "base/crc32c.h"
#include "support/mem.h"

/* The TFRecord framing of formats/tfrecord.h: length, its checksum, payload, its checksum. */
enum { LENGTH = 8, HEAD = 12, TAIL = 4 };

static uint64_t read_little(const uint8_t *data, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--)
        value = value << 8 | data[i];
    return value;
}

static bool is_sound(const uint8_t *data, size_t bytes)
{
    return det_crc32c_mask(det_crc32c(0, data, bytes)) == (uint32_t)read_little(data + bytes, 4);
}

bool det_event_records_next(struct det_event_records *records, const uint8_t **data, size_t *bytes)
{
    const size_t left = records->contents->bytes - records->at;
    const uint8_t *head = records->contents->data + records->at;
    if (records->damaged || left < HEAD + TAIL)
        return false;
    records->damaged = !is_sound(head, LENGTH);
    const uint64_t length = read_little(head, LENGTH);
    if (records->damaged || length > left - HEAD - TAIL)
        return false;
    records->damaged = !is_sound(head + HEAD, (size_t)length);
    if (records->damaged)
        return false;
    *data = head + HEAD;
    *bytes = (size_t)length;
    records->at += HEAD + (size_t)length + TAIL;
    return true;
}

det_status det_event_files(struct det_env *env, const char *directory, struct det_path_list *list)
{
    size_t kept = 0;
    if (!det_is_directory(directory))
        return DET_OK;
    const det_status status = det_list_directory(env, directory, list);
    if (status != DET_OK)
        det_path_list_free(env, list);
    DET_TRY_RETURN(status);
    for (size_t i = 0; i < list->count; i++) {
        char *path = list->paths[i];
        list->paths[i] = NULL;
        if (strncmp(det_path_name(path), DET_EVENT_FILE_BEGIN, strlen(DET_EVENT_FILE_BEGIN)) == 0)
            list->paths[kept++] = path;
        else
            det_free(env, &path);
    }
    list->count = kept;
    return DET_OK;
}
