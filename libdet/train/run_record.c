#include "train/run_record.h"

#include <stdio.h>
#include <string.h>

#include "support/io.h"
#include "support/mem.h"

/* --- what is there --- */

static det_status take_entries(struct det_env *env, struct det_json runs, struct det_text *earlier)
{
    struct det_json_entry entry;
    for (bool more = det_json_first(runs, &entry); more; more = det_json_next(&entry)) {
        size_t bytes = 0;
        const char *source = det_json_source(entry.value, &bytes);
        if (earlier->length > 0)
            DET_TRY_RETURN(det_text_append(env, earlier, ",\n  ", 4));
        DET_TRY_RETURN(det_text_append(env, earlier, source, bytes));
    }
    return DET_OK;
}

static det_status set_aside(struct det_env *env, const char *path)
{
    char *kept = NULL;
    DET_TRY_RETURN(det_keep_old_file(env, path, &kept));
    if (kept != NULL)
        det_log(env, DET_LOG_WARNING, "%s tells of no training, kept as %s", path, kept);
    det_free(env, &kept);
    return DET_OK;
}

static det_status read_earlier(struct det_env *env, struct det_run_record *record)
{
    struct det_file_bytes contents = {0};
    struct det_json root, runs = {0};
    det_status status = det_file_read(env, record->path, &contents);
    if (status == DET_STATUS_NOT_FOUND)
        return det_forgive(env, status, DET_STATUS_NOT_FOUND);
    DET_TRY_RETURN(status);
    status = det_json_parse(env, record->path, contents.data, contents.bytes, &root);
    if (status == DET_OK)
        runs = det_json_get(root, "runs");
    const bool ours = det_json_kind(runs) == DET_JSON_LIST;
    if (ours)
        status = take_entries(env, runs, &record->earlier);
    else
        status = det_forgive(env, status, DET_STATUS_PARSE);
    det_file_release(&contents);
    DET_TRY_RETURN(status);
    return ours ? DET_OK : set_aside(env, record->path);
}

det_status det_run_record_open(struct det_env *env, const char *model_dir,
                               struct det_run_record *record)
{
    *record = (struct det_run_record){0};
    DET_TRY_RETURN(det_path_join(env, &record->path, model_dir, DET_RUN_RECORD_NAME));
    const det_status status = read_earlier(env, record);
    if (status != DET_OK)
        det_run_record_free(env, record);
    return status;
}

void det_run_record_free(struct det_env *env, struct det_run_record *record)
{
    det_text_free(env, &record->earlier);
    det_text_free(env, &record->about);
    det_free(env, &record->path);
}

/* --- sums that are known --- */

/* A number, as it was written: a double cannot hold nanoseconds. */
static bool is_number(struct det_json value, long long number)
{
    char text[32];
    size_t bytes = 0;
    const int length = snprintf(text, sizeof text, "%lld", number);
    if (det_json_kind(value) != DET_JSON_NUMBER)
        return false;
    const char *source = det_json_source(value, &bytes);
    return bytes == (size_t)length && memcmp(source, text, bytes) == 0;
}

static bool sum_of(struct det_env *env, struct det_json file, char sha256[65])
{
    char *text = NULL;
    const det_status status = det_json_string(env, det_json_get(file, "sha256"), &text);
    const bool known = status == DET_OK && text != NULL && strlen(text) == 64;
    if (known)
        memcpy(sha256, text, 65);
    if (status != DET_OK)
        det_forget_error(env);
    det_free(env, &text);
    return known;
}

bool det_run_record_find_sum(struct det_env *env, const struct det_run_record *record,
                             const char *path, uint64_t bytes, int64_t modified_ns, char sha256[65])
{
    struct det_text list = {0};
    struct det_json root;
    struct det_json_entry run, file;
    bool found = false;
    det_status status = DET_OK;
    if (record->earlier.length == 0)
        return false;
    DET_TRY(det_text_printf(env, &list, "[%s]", record->earlier.data));
    DET_TRY(det_json_parse(env, record->path, list.data, list.length, &root));
    for (bool more = det_json_first(root, &run); more; more = det_json_next(&run)) {
        const struct det_json data = det_json_get(run.value, "data");
        for (bool next = det_json_first(data, &file); next; next = det_json_next(&file))
            if (det_json_equals(det_json_get(file.value, "path"), path) &&
                is_number(det_json_get(file.value, "bytes"), (long long)bytes) &&
                is_number(det_json_get(file.value, "modified_ns"), (long long)modified_ns))
                found = sum_of(env, file.value, sha256) || found;
    }
fail:
    if (status != DET_OK)
        det_forget_error(env);
    det_text_free(env, &list);
    return found;
}

/* --- writing --- */

static det_status put_entry(struct det_env *env, const struct det_run_record *record,
                            struct det_text *text)
{
    struct det_json_writer json;
    char now[DET_CLOCK_DATE_BYTES];
    det_json_begin(&json, env, text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, "started", record->started);
    det_json_put_string(&json, "ended", record->how != NULL ? det_clock_utc(now) : NULL);
    det_json_put_fixed(&json, "seconds", (double)(det_clock_ns() - record->started_ns) * 1e-9, 1);
    det_json_put_string(&json, "how", record->how != NULL ? record->how : "running");
    det_json_put_int(&json, "first_step", record->first_step);
    det_json_put_int(&json, "last_step", record->step);
    DET_TRY_RETURN(det_json_end(&json));
    /* The members of the object that was made before. */
    DET_TRY_RETURN(det_text_append(env, text, ",", 1));
    return det_text_append(env, text, record->about.data + 1, record->about.length - 1);
}

det_status det_run_record_write(struct det_env *env, const struct det_run_record *record)
{
    struct det_text text = {0};
    det_status status = DET_OK;
    DET_TRY(det_text_printf(env, &text, "{\n\"runs\": [\n  "));
    if (record->earlier.length > 0) {
        DET_TRY(det_text_append(env, &text, record->earlier.data, record->earlier.length));
        DET_TRY(det_text_append(env, &text, ",\n  ", 4));
    }
    DET_TRY(put_entry(env, record, &text));
    DET_TRY(det_text_append(env, &text, "\n]\n}\n", 5));
    DET_TRY(det_write_file(env, record->path, text.data, text.length));
fail:
    det_text_free(env, &text);
    return status;
}
