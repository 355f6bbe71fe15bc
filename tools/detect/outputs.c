#include "detect/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/console.h"
#include "common/output.h"
#include "det/results.h"
#include "detect/names.h"
#include "support/io.h"
#include "support/json_writer.h"
#include "support/mem.h"

struct sink {
    struct det_writer writer;
    bool open;
    struct det_json_writer json; /* of a document that is written over many frames */
};

struct outputs {
    det_context *context;
    det_results *results; /* JSON lines, CVAT, YOLO */
    const det_model *model;
    bool several;
    struct sink json, csv, coco, coco_results, cvat;
    FILE *coco_images; /* unnamed: the list of images that comes behind the annotations */
    struct det_json_writer coco_image_list;
    const char *yolo;
    struct det_text text; /* reused */
    int64_t images, annotations;
};

static det_status sink_open(struct det_env *env, struct sink *sink, const char *path)
{
    if (path == NULL)
        return DET_OK;
    DET_TRY_RETURN(output_open(env, path, &sink->writer));
    sink->open = true;
    return DET_OK;
}

/* A reader at the other end of a pipe sees each image at once. */
static det_status sink_write(struct det_env *env, struct sink *sink, const char *data, size_t bytes)
{
    return det_writer_streams(&sink->writer) ? console_send(env, &sink->writer, data, bytes)
                                             : det_writer_write(env, &sink->writer, data, bytes);
}

static det_status sink_text(struct det_env *env, struct outputs *o, struct sink *sink)
{
    return sink_write(env, sink, o->text.data, o->text.length);
}

/* What there is of the sink's document since the last call. */
static det_status sink_json(struct det_env *env, struct outputs *o, struct sink *sink)
{
    DET_TRY_RETURN(sink->json.status);
    DET_TRY_RETURN(sink_text(env, o, sink));
    o->text.length = 0;
    return DET_OK;
}

/* What the library has made of it. */
static det_status sink_results(struct det_env *env, struct outputs *o, struct sink *sink,
                               det_status status, const char *text)
{
    return status == DET_OK ? sink_write(env, sink, text, strlen(text))
                            : tool_adopt(env, o->context, status);
}

/* --- open --- */

static det_status begin_files(struct det_env *env, struct outputs *o)
{
    static const char head[] =
        "source,frame,time_s,track_id,class_id,class,score,xmin_px,ymin_px,xmax_px,ymax_px,"
        "width,height\n";
    if (o->csv.open)
        DET_TRY_RETURN(sink_write(env, &o->csv, head, sizeof head - 1));
    det_json_begin(&o->coco.json, env, &o->text, DET_JSON_SPACED);
    det_json_begin(&o->coco_results.json, env, &o->text, DET_JSON_SPACED);
    det_json_begin(&o->coco_image_list, env, &o->text, DET_JSON_SPACED);
    if (o->coco.open) {
        det_json_open_object(&o->coco.json, NULL);
        det_json_open_list(&o->coco.json, "annotations");
        DET_TRY_RETURN(sink_json(env, o, &o->coco));
    }
    if (o->coco_results.open) {
        det_json_open_list(&o->coco_results.json, NULL);
        DET_TRY_RETURN(sink_json(env, o, &o->coco_results));
    }
    if (!o->cvat.open)
        return DET_OK;
    const char *text = NULL;
    const det_status status = det_results_head(o->results, DET_RESULTS_CVAT, &text);
    return sink_results(env, o, &o->cvat, status, text);
}

/* classes.txt, which YOLO's tools want beside the texts. */
static det_status begin_yolo(struct det_env *env, struct outputs *o)
{
    char *path = NULL;
    det_status status = DET_OK;
    o->text.length = 0;
    DET_TRY(det_make_directories(env, o->yolo));
    for (int32_t id = 1; id <= det_model_class_count(o->model); id++) {
        /* A name is a line. */
        DET_TRY(det_text_shown(env, &o->text, det_model_class_name(o->model, id)));
        DET_TRY(det_text_append(env, &o->text, "\n", 1));
    }
    DET_TRY(det_path_join(env, &path, o->yolo, "classes.txt"));
    DET_TRY(det_write_file(env, path, o->text.data, o->text.length));
fail:
    det_free(env, &path);
    return status;
}

static void discard(struct det_env *env, struct sink *sink)
{
    if (sink->open)
        det_writer_discard(env, &sink->writer);
    sink->open = false;
}

static void outputs_free(struct det_env *env, struct outputs **out)
{
    struct outputs *o = *out;
    discard(env, &o->json);
    discard(env, &o->csv);
    discard(env, &o->coco);
    discard(env, &o->coco_results);
    discard(env, &o->cvat);
    if (o->coco_images != NULL)
        fclose(o->coco_images);
    det_results_destroy(&o->results);
    det_text_free(env, &o->text);
    det_free(env, out);
}

det_status outputs_open(struct det_env *env, det_context *context, const det_model *model,
                        const struct output_paths *paths, bool several, struct outputs **out)
{
    det_status status = DET_OK;
    struct outputs *o = NULL;
    *out = NULL;
    DET_TRY_RETURN(det_alloc(env, &o, 1, sizeof *o, "outputs"));
    o->context = context;
    o->model = model;
    o->several = several;
    o->yolo = paths->yolo;
    status = det_results_create(context, model, &o->results);
    if (status != DET_OK)
        DET_TRY(tool_adopt(env, context, status));
    DET_TRY(sink_open(env, &o->json, paths->json));
    DET_TRY(sink_open(env, &o->csv, paths->csv));
    DET_TRY(sink_open(env, &o->coco, paths->coco));
    DET_TRY(sink_open(env, &o->coco_results, paths->coco_results));
    DET_TRY(sink_open(env, &o->cvat, paths->cvat));
    if (o->coco.open && (o->coco_images = tmpfile()) == NULL)
        DET_TRY(det_fail_errno(env, errno, "%s: no temporary file for its images", paths->coco));
    DET_TRY(begin_files(env, o));
    if (o->yolo != NULL)
        DET_TRY(begin_yolo(env, o));
    *out = o;
    return DET_OK;
fail:
    outputs_free(env, &o);
    return status;
}

/* --- frames --- */

/* How a frame is called in annotations: as the image, or "frame_000012" as CVAT counts a video's
 * frames, with the video's name before it where there are several. */
static det_status frame_name(struct det_env *env, const struct outputs *o,
                             const struct frame *frame, char **name)
{
    if (!frame->of_video)
        return det_strdup(env, name, frame->name);
    if (!o->several)
        return det_format(env, name, "frame_%06lld", (long long)frame->index);
    return det_format(env, name, "%.*s_frame_%06lld", (int)det_path_stem_length(frame->name),
                      frame->name, (long long)frame->index);
}

static det_results_frame results_frame(const struct frame *f, const char *name, int64_t number)
{
    return (det_results_frame){.struct_size = sizeof(det_results_frame),
                               .name = name,
                               .number = number,
                               .time_s = f->time_s,
                               .width = f->image.file_width,
                               .height = f->image.file_height,
                               .of_video = f->of_video,
                               .track_ids = f->track_ids};
}

static det_status write_json(struct det_env *env, struct outputs *o, const struct frame *f)
{
    const det_results_frame frame = results_frame(f, f->source, f->index);
    const char *text = NULL;
    const det_status status =
        det_results_text(o->results, DET_RESULTS_JSON, &frame, f->found, f->count, &text);
    return sink_results(env, o, &o->json, status, text);
}

static det_status write_csv(struct det_env *env, struct outputs *o, const struct frame *f)
{
    struct det_text *text = &o->text;
    const float w = (float)f->image.file_width, h = (float)f->image.file_height;
    text->length = 0;
    for (size_t i = 0; i < f->count; i++) {
        const det_detection *d = &f->found[i];
        char n[6][32];
        DET_TRY_RETURN(det_text_csv(env, text, f->source));
        DET_TRY_RETURN(det_text_printf(env, text, ",%lld,%s,", (long long)f->index,
                                       f->of_video ? det_format_double(n[5], f->time_s) : ""));
        if (f->track_ids[i] != 0)
            DET_TRY_RETURN(det_text_printf(env, text, "%lld", (long long)f->track_ids[i]));
        DET_TRY_RETURN(det_text_printf(env, text, ",%d,", d->class_id));
        DET_TRY_RETURN(det_text_csv(env, text, det_model_class_name(o->model, d->class_id)));
        DET_TRY_RETURN(det_text_printf(
            env, text, ",%s,%s,%s,%s,%s,%d,%d\n", det_format_float(n[0], d->score),
            det_format_float(n[1], d->xmin * w), det_format_float(n[2], d->ymin * h),
            det_format_float(n[3], d->xmax * w), det_format_float(n[4], d->ymax * h),
            f->image.file_width, f->image.file_height));
    }
    return text->length > 0 ? sink_text(env, o, &o->csv) : DET_OK;
}

/* Both COCO forms: annotations of a data set (with their score), or a list of results. */
static void put_coco(struct det_json_writer *json, const struct outputs *o, const struct frame *f,
                     size_t i, bool results)
{
    const det_detection *d = &f->found[i];
    const float w = (float)f->image.file_width, h = (float)f->image.file_height;
    const float width = (d->xmax - d->xmin) * w, height = (d->ymax - d->ymin) * h;
    const float box_px[4] = {d->xmin * w, d->ymin * h, width, height};
    det_json_line(json, 0);
    det_json_open_object(json, NULL);
    if (!results) {
        det_json_put_int(json, "id", o->annotations + (int64_t)i + 1);
        det_json_put_int(json, "iscrowd", 0);
        det_json_put_float(json, "area", width * height);
    }
    if (f->track_ids[i] != 0)
        det_json_put_int(json, "track_id", f->track_ids[i]);
    det_json_put_int(json, "image_id", o->images + 1);
    det_json_put_int(json, "category_id", d->class_id);
    det_json_put_floats(json, "bbox", box_px, 4);
    det_json_put_float(json, "score", d->score);
    det_json_close_object(json);
}

static det_status write_coco(struct det_env *env, struct outputs *o, const struct frame *f,
                             bool results)
{
    struct sink *sink = results ? &o->coco_results : &o->coco;
    o->text.length = 0;
    for (size_t i = 0; i < f->count; i++)
        put_coco(&sink->json, o, f, i, results);
    return f->count > 0 ? sink_json(env, o, sink) : DET_OK;
}

static det_status note_coco_image(struct det_env *env, struct outputs *o, const struct frame *f,
                                  const char *name)
{
    struct det_json_writer *json = &o->coco_image_list;
    char *file_name = NULL;
    /* A video's frame gets a name for the picture that somebody may make of it. */
    DET_TRY_RETURN(det_format(env, &file_name, "%s%s", name, f->of_video ? ".jpg" : ""));
    o->text.length = 0;
    det_json_line(json, 0);
    det_json_open_object(json, NULL);
    det_json_put_int(json, "id", o->images + 1);
    det_json_put_int(json, "width", f->image.file_width);
    det_json_put_int(json, "height", f->image.file_height);
    det_json_put_string(json, "file_name", file_name);
    det_free(env, &file_name);
    if (!f->of_video && strcmp(name, det_path_name(f->source)) != 0 &&
        strcmp(f->source, "-") != 0) /* numbered */
        det_json_put_string(json, "path", f->source);
    det_json_close_object(json);
    DET_TRY_RETURN(det_json_end(json));
    if (fwrite(o->text.data, 1, o->text.length, o->coco_images) != o->text.length)
        return det_fail_errno(env, errno, "temporary file of COCO images");
    return DET_OK;
}

/* A text file; a frame's name has no extension, its video's may hold a point. */
static det_status write_yolo(struct det_env *env, struct outputs *o, const struct frame *f,
                             const det_results_frame *frame)
{
    const int stem =
        f->of_video ? (int)strlen(frame->name) : (int)det_path_stem_length(frame->name);
    const char *text = NULL;
    char *path = NULL;
    det_status status =
        det_results_text(o->results, DET_RESULTS_YOLO, frame, f->found, f->count, &text);
    if (status != DET_OK)
        return tool_adopt(env, o->context, status);
    DET_TRY_RETURN(det_path_join_printf(env, &path, o->yolo, "%.*s.txt", stem, frame->name));
    status = det_write_file(env, path, text, strlen(text));
    det_free(env, &path);
    return status;
}

static det_status write_annotations(struct det_env *env, struct outputs *o, const struct frame *f,
                                    const char *name)
{
    const det_results_frame frame = results_frame(f, name, f->of_video ? f->index : o->images);
    if (o->cvat.open) {
        const char *text = NULL;
        const det_status status =
            det_results_text(o->results, DET_RESULTS_CVAT, &frame, f->found, f->count, &text);
        DET_TRY_RETURN(sink_results(env, o, &o->cvat, status, text));
    }
    return o->yolo != NULL ? write_yolo(env, o, f, &frame) : DET_OK;
}

det_status outputs_frame(struct det_env *env, struct outputs *o, const struct frame *f)
{
    det_status status = DET_OK;
    char *name = NULL;
    if (o->json.open)
        DET_TRY_RETURN(write_json(env, o, f));
    if (o->csv.open)
        DET_TRY_RETURN(write_csv(env, o, f));
    if (o->coco.open)
        DET_TRY_RETURN(write_coco(env, o, f, false));
    if (o->coco_results.open)
        DET_TRY_RETURN(write_coco(env, o, f, true));
    if (o->coco.open || o->cvat.open || o->yolo != NULL) {
        DET_TRY(frame_name(env, o, f, &name));
        if (o->coco.open)
            DET_TRY(note_coco_image(env, o, f, name));
        DET_TRY(write_annotations(env, o, f, name));
    }
    o->images++;
    o->annotations += (int64_t)f->count;
fail:
    det_free(env, &name);
    return status;
}

/* --- close --- */

/* The images and categories behind the annotations. */
static det_status end_coco(struct det_env *env, struct outputs *o)
{
    char block[65536];
    struct det_json_writer *json = &o->coco.json;
    o->text.length = 0;
    det_json_line(json, 0);
    det_json_close_list(json);
    det_json_line(json, 0);
    det_json_open_list(json, "images");
    DET_TRY_RETURN(sink_json(env, o, &o->coco));
    rewind(o->coco_images);
    for (size_t got; (got = fread(block, 1, sizeof block, o->coco_images)) > 0;)
        DET_TRY_RETURN(sink_write(env, &o->coco, block, got));
    if (ferror(o->coco_images))
        return det_fail(env, DET_STATUS_IO, "temporary file of COCO images: cannot be read");
    det_json_line(json, 0);
    det_json_close_list(json);
    det_json_line(json, 0);
    det_json_open_list(json, "categories");
    for (int32_t id = 1; id <= det_model_class_count(o->model); id++) {
        if (!det_model_class_is_used(o->model, id))
            continue;
        det_json_line(json, 0);
        det_json_open_object(json, NULL);
        det_json_put_int(json, "id", id);
        det_json_put_string(json, "name", det_model_class_name(o->model, id));
        det_json_close_object(json);
    }
    det_json_line(json, 0);
    det_json_close_list(json);
    det_json_close_object(json);
    det_json_line(json, 0);
    DET_TRY_RETURN(det_json_end(json));
    return sink_json(env, o, &o->coco);
}

static det_status end_coco_results(struct det_env *env, struct outputs *o)
{
    struct det_json_writer *json = &o->coco_results.json;
    o->text.length = 0;
    det_json_line(json, 0);
    det_json_close_list(json);
    det_json_line(json, 0);
    DET_TRY_RETURN(det_json_end(json));
    return sink_json(env, o, &o->coco_results);
}

static det_status end_cvat(struct det_env *env, struct outputs *o)
{
    const char *text = NULL;
    const det_status status = det_results_tail(o->results, DET_RESULTS_CVAT, &text);
    return sink_results(env, o, &o->cvat, status, text);
}

static void keep(struct det_env *env, struct sink *sink, det_status *status, det_status ended)
{
    struct det_env first = *env;
    if (ended == DET_OK && sink->open) {
        ended = det_writer_commit(env, &sink->writer);
        sink->open = ended != DET_OK;
    }
    if (*status == DET_OK)
        *status = ended;
    else
        det_env_adopt_error(env, &first);
}

det_status outputs_close(struct det_env *env, struct outputs **out)
{
    struct outputs *o = *out;
    det_status status = DET_OK;
    if (o == NULL)
        return DET_OK;
    keep(env, &o->json, &status, DET_OK);
    keep(env, &o->csv, &status, DET_OK);
    if (o->coco.open)
        keep(env, &o->coco, &status, end_coco(env, o));
    if (o->coco_results.open)
        keep(env, &o->coco_results, &status, end_coco_results(env, o));
    if (o->cvat.open)
        keep(env, &o->cvat, &status, end_cvat(env, o));
    outputs_free(env, out);
    return status;
}
