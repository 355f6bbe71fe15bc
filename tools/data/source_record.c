#include "data/source_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/clock.h"
#include "support/file_sum.h"
#include "support/io.h"
#include "support/json.h"
#include "support/json_writer.h"
#include "support/mem.h"

/* A folder is read four folders deep, its pictures may lie below. */
enum { MOST_DEPTH = 8 };

/* A source as it is now. */
struct look {
    char *path, *split; /* split: NULL, or said by the user */
    size_t files;
    uint64_t bytes;
    struct det_sha256 content, stamp; /* stamp: names, sizes and times, which cost no reading */
    char content_hex[65], stamp_hex[65];
    const char *left_out; /* a folder: what is being made in it is no source */
};

static void forget(struct det_env *env, struct look *look)
{
    det_free(env, &look->path);
    det_free(env, &look->split);
}

/* --- looking --- */

static det_status look_at_file(struct det_env *env, const char *path, const char *name,
                               bool content, struct look *look)
{
    struct det_file_sum sum;
    char numbers[64];
    DET_TRY_RETURN(det_file_sum_look(env, path, &sum));
    look->files++;
    look->bytes += sum.bytes;
    const int length = snprintf(numbers, sizeof numbers, "%llu %lld", (unsigned long long)sum.bytes,
                                (long long)sum.modified_ns);
    det_sha256_add(&look->stamp, name, strlen(name) + 1);
    det_sha256_add(&look->stamp, numbers, (size_t)length + 1);
    if (!content)
        return DET_OK;
    det_sha256_add(&look->content, name, strlen(name) + 1);
    return det_file_sum_add(env, path, &look->content);
}

/* `below`: characters of the path in front of the name that counts. */
static det_status look_at(struct det_env *env, const char *path, size_t below, int depth,
                          bool content, struct look *look)
{
    struct det_path_list entries = {0};
    det_status status = DET_OK;
    if (!det_is_directory(path))
        return det_file_exists(path) ? look_at_file(env, path, path + below, content, look)
                                     : DET_OK; /* a link that leads nowhere */
    if (depth == 0 || (look->left_out != NULL && det_same_file(path, look->left_out)))
        return DET_OK;
    DET_TRY(det_list_directory(env, path, &entries));
    for (size_t i = 0; i < entries.count; i++)
        if (det_path_name(entries.paths[i])[0] != '.')
            DET_TRY(look_at(env, entries.paths[i], below, depth - 1, content, look));
fail:
    det_path_list_free(env, &entries);
    return status;
}

/* The source's own name does not count: a copy of an archive is the same data. */
static det_status look_at_source(struct data_job *job, const char *input, bool content,
                                 struct look *look)
{
    struct det_env *env = job->env;
    struct det_path_list found = {0};
    det_status status = DET_OK;
    *look = (struct look){.left_out = job->arguments.output};
    det_sha256_begin(&look->content);
    det_sha256_begin(&look->stamp);
    DET_TRY(data_parse_input(job, input, &look->path, &look->split));
    if (det_file_exists(look->path))
        DET_TRY(look_at(env, look->path, strlen(look->path), MOST_DEPTH, content, look));
    else {
        DET_TRY(det_glob(env, look->path, &found));
        for (size_t i = 0; i < found.count; i++)
            DET_TRY(
                look_at_file(env, found.paths[i], det_path_name(found.paths[i]), content, look));
    }
    det_sha256_end(&look->content, look->content_hex);
    det_sha256_end(&look->stamp, look->stamp_hex);
fail:
    det_path_list_free(env, &found);
    return status;
}

/* --- options that a workspace depends on --- */

/* "--size 320 --tiles 640x640", those that are given; the caller frees. */
static det_status options_text(struct data_job *job, struct det_text *text)
{
    const struct data_arguments *a = &job->arguments;
    char overlap[32];
    const struct {
        const char *name, *value;
    } words[] = {{"from", a->from},
                 {"label_map", a->label_map},
                 {"encoding", a->encoding},
                 {"exif", strcmp(a->exif, "auto") == 0 ? NULL : a->exif}};
    DET_TRY_RETURN(det_text_append(job->env, text, "", 0));
    if (a->input_px > 0)
        DET_TRY_RETURN(det_text_printf(job->env, text, " --size %lld", (long long)a->input_px));
    if (a->tiles.size.given)
        DET_TRY_RETURN(det_text_printf(job->env, text, " --tiles %dx%d --tile_overlap %s",
                                       a->tiles.size.width, a->tiles.size.height,
                                       det_format_double(overlap, a->tiles.overlap)));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].value != NULL)
            DET_TRY_RETURN(
                det_text_printf(job->env, text, " --%s %s", words[i].name, words[i].value));
    return DET_OK;
}

/* --- writing --- */

static det_status put_source(struct data_job *job, const char *input, struct det_json_writer *json)
{
    struct look look;
    char *full = NULL;
    det_status status = DET_OK;
    DET_TRY(look_at_source(job, input, true, &look));
    full = realpath(look.path, NULL);
    det_json_line(json, 2);
    det_json_open_object(json, NULL);
    det_json_put_string(json, "path", full != NULL ? full : look.path);
    det_json_put_string(json, "split", look.split);
    det_json_put_size(json, "files", look.files);
    det_json_put_int(json, "bytes", (int64_t)look.bytes);
    det_json_put_string(json, "sha256_of_all", look.content_hex);
    det_json_put_string(json, "stamp", look.stamp_hex);
    det_json_close_object(json);
fail:
    free(full);
    forget(job->env, &look);
    return status;
}

det_status source_record_write(struct data_job *job, const char *path)
{
    struct det_env *env = job->env;
    struct det_text text = {0}, options = {0};
    struct det_json_writer json;
    char now[DET_CLOCK_DATE_BYTES];
    det_status status = DET_OK;
    DET_TRY(options_text(job, &options));
    det_json_begin(&json, env, &text, DET_JSON_SPACED);
    det_json_open_object(&json, NULL);
    det_json_put_string(&json, "made", det_clock_utc(now));
    det_json_put_string(&json, "libdet", det_version_string());
    det_json_put_string(&json, "options", options.length > 0 ? options.data + 1 : "");
    det_json_open_list(&json, "sources");
    for (size_t i = 0; i < job->inputs.count; i++)
        DET_TRY(put_source(job, job->inputs.values[i], &json));
    det_json_close_list(&json);
    det_json_close_object(&json);
    det_json_line(&json, 0);
    DET_TRY(det_json_end(&json));
    DET_TRY(det_write_file(env, path, text.data, text.length));
fail:
    det_text_free(env, &text);
    det_text_free(env, &options);
    return status;
}

/* --- comparing --- */

static det_status differs(struct data_job *job, const char *what)
{
    const char *folder = job->arguments.output;
    return det_fail(job->env, DET_STATUS_INVALID_ARGUMENT,
                    "%s was made %s: leave --data out to go on with it, or choose another "
                    "--model_dir (--fine_tune_checkpoint %s begins there with what was learnt "
                    "here)",
                    folder, what, folder);
}

static det_status compare_source(struct data_job *job, const char *input, struct det_json then)
{
    struct det_env *env = job->env;
    struct look look;
    char *path = NULL, *split = NULL, what[600];
    det_status status = DET_OK;
    DET_TRY(look_at_source(job, input, false, &look));
    DET_TRY(det_json_string(env, det_json_get(then, "split"), &split));
    const char *now = look.split != NULL ? look.split : "", *was = split != NULL ? split : "";
    bool same = det_json_equals(det_json_get(then, "stamp"), look.stamp_hex);
    if (!same) { /* copied, unpacked anew */
        forget(env, &look);
        DET_TRY(look_at_source(job, input, true, &look));
        same = det_json_equals(det_json_get(then, "sha256_of_all"), look.content_hex);
    }
    if (same && strcmp(now, was) == 0)
        goto fail; /* status is OK */
    DET_TRY(det_json_string(env, det_json_get(then, "path"), &path));
    double files = 0, bytes = 0;
    (void)det_json_number(det_json_get(then, "files"), &files);
    (void)det_json_number(det_json_get(then, "bytes"), &bytes);
    snprintf(what, sizeof what,
             "of %.200s (%.0f files, %.0f bytes), and %.200s (%zu files, %llu bytes) is %s",
             path != NULL ? path : "other data", files, bytes, input, look.files,
             (unsigned long long)look.bytes, same ? "for another split" : "not what that was then");
    status = differs(job, what);
fail:
    det_free(env, &path);
    det_free(env, &split);
    forget(env, &look);
    return status;
}

static det_status compare_options(struct data_job *job, struct det_json then)
{
    struct det_env *env = job->env;
    struct det_text now = {0};
    char *was = NULL, what[600];
    det_status status = DET_OK;
    DET_TRY(options_text(job, &now));
    DET_TRY(det_json_string(env, then, &was));
    if (now.length == 0 || (was != NULL && strcmp(now.data + 1, was) == 0))
        goto fail; /* status is OK */
    snprintf(what, sizeof what, "with %.200s, not with %.200s",
             was != NULL && was[0] != '\0' ? was : "the options' defaults", now.data + 1);
    status = differs(job, what);
fail:
    det_text_free(env, &now);
    det_free(env, &was);
    return status;
}

det_status source_record_compare(struct data_job *job, const char *path)
{
    struct det_env *env = job->env;
    struct det_file_bytes contents;
    struct det_json root;
    struct det_json_entry entry;
    det_status status = DET_OK;
    DET_TRY_RETURN(det_file_read(env, path, &contents));
    DET_TRY(det_json_parse(env, path, contents.data, contents.bytes, &root));
    const struct det_json sources = det_json_get(root, "sources");
    if (det_json_count(sources) != job->inputs.count)
        DET_TRY(differs(job, "of another number of sources"));
    size_t i = 0;
    for (bool more = det_json_first(sources, &entry); more; more = det_json_next(&entry))
        DET_TRY(compare_source(job, job->inputs.values[i++], entry.value));
    DET_TRY(compare_options(job, det_json_get(root, "options")));
fail:
    det_file_release(&contents);
    return status;
}
