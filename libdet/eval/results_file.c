#include "eval/results_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "support/clock.h"
#include "support/guard.h"
#include "support/io.h"
#include "support/mem.h"

/* Places of the columns that are looked at again; behind the losses stands "mAP/CLASS" of each
 * class. */
enum { CURRENT, TIME, RUN, FORM, STEP, DATA, IMAGES, FIRST_STAT };
enum { LOSSES = 4, FIRST_CLASS = FIRST_STAT + DET_COCO_STAT_COUNT + LOSSES };

/* --- one at a time --- */

enum { LOCK_TRIES = 100 };

/* *descriptor: -1 where the file system has no such locks. Goes with the descriptor. */
static det_status lock_folder(struct det_env *env, const char *path, int *descriptor)
{
    char *folder = NULL;
    DET_TRY_RETURN(det_path_directory(env, &folder, path));
    *descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    det_free(env, &folder);
    for (int i = 0; *descriptor >= 0 && i < LOCK_TRIES; i++) {
        if (flock(*descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return DET_OK;
        (void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    if (*descriptor < 0)
        return DET_OK;
    close(*descriptor);
    *descriptor = -1;
    return det_fail(env, DET_STATUS_IO, "%s: another process has locked its folder", path);
}

static void unlock_folder(int descriptor)
{
    if (descriptor >= 0)
        close(descriptor);
}

/* --- cells --- */

/* A cell as it stands in the file, with its quotes. */
struct cell {
    const char *text;
    size_t length;
};

/* The next cell of the line; moves *at behind it and its comma. False behind the last, where *at
 * stands on the line's end. */
static bool next_cell(const char **at, struct cell *cell, bool *more)
{
    const char *p = *at;
    bool quoted = false;
    if (!*more)
        return false;
    for (; *p != '\0' && (quoted || (*p != ',' && *p != '\n')); p++)
        quoted ^= *p == '"';
    *cell = (struct cell){*at, (size_t)(p - *at)};
    *more = *p == ',';
    *at = p + *more;
    if (!*more && cell->length > 0 && p[-1] == '\r')
        cell->length--;
    return true;
}

static bool same_cell(const struct cell *a, const struct cell *b)
{
    return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
}

/* --- the table --- */

struct table {
    struct det_env *env;
    const char *path;
    struct det_text old;    /* NUL-terminated; no data: there is no file */
    struct det_text header; /* of the new one, without its line end */
    struct det_text made;   /* the new one */
    size_t columns, old_columns;
    size_t rows; /* of the old one */
};

static void free_table(struct table *t)
{
    det_text_free(t->env, &t->old);
    det_text_free(t->env, &t->header);
    det_text_free(t->env, &t->made);
}

static det_status put_fixed_header(struct det_env *env, struct det_text *text)
{
    DET_TRY_RETURN(det_text_printf(env, text, "current,time_utc,run,form,step,data,images"));
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        DET_TRY_RETURN(det_text_printf(env, text, ",%s",
                                       strchr(det_coco_stat_name((det_coco_stat)i), '/') + 1));
    return det_text_printf(env, text,
                           ",localization_loss,classification_loss,regularization_loss,total_loss");
}

static det_status read_file(struct det_env *env, const char *path, struct det_text *text)
{
    struct det_file_bytes contents;
    struct det_guard *guard = env->guard;
    if (!det_file_exists(path))
        return DET_OK;
    env->guard = NULL; /* this input is to be replaced */
    det_status status = det_file_read(env, path, &contents);
    if (status == DET_OK)
        status = det_text_append(env, text, (const char *)contents.data, contents.bytes);
    det_file_release(&contents);
    env->guard = guard;
    return status;
}

static det_status move_aside(struct det_env *env, const char *path, char **place)
{
    const size_t name = (size_t)(det_path_name(path) - path);
    const int stem = (int)(name + det_path_stem_length(path + name));
    DET_TRY_RETURN(det_format(env, place, "%.*s.old%s", stem, path, path + stem));
    for (int n = 2; det_file_exists(*place); n++) {
        det_free(env, place);
        DET_TRY_RETURN(det_format(env, place, "%.*s.old-%d%s", stem, path, n, path + stem));
    }
    return rename(path, *place) == 0
               ? DET_OK
               : det_fail_errno(env, errno, "%s: cannot be kept as %s", path, *place);
}

/* Whether the file begins as ours do; its columns as they are. */
static bool take_header(struct table *t, const char *fixed, const char **rows)
{
    const size_t length = strlen(fixed);
    const char *at = t->old.data;
    struct cell cell;
    bool more = true;
    if (strlen(at) != t->old.length || strncmp(at, fixed, length) != 0 || at[length] == '\0' ||
        strchr(",\r\n", at[length]) == NULL)
        return false;
    t->old_columns = 0;
    while (next_cell(&at, &cell, &more))
        t->old_columns++;
    *rows = at + (*at == '\n');
    return true;
}

/* The header that is there, or a new one; *rows: what stands below it. */
static det_status open_table(struct table *t, const char **rows)
{
    struct det_text fixed = {0};
    char *place = NULL;
    det_status status = DET_OK;
    *rows = "";
    DET_TRY(put_fixed_header(t->env, &fixed));
    DET_TRY(read_file(t->env, t->path, &t->old));
    if (t->old.data != NULL && take_header(t, fixed.data, rows)) {
        size_t length = (size_t)(*rows - t->old.data);
        while (length > 0 && strchr("\r\n", t->old.data[length - 1]) != NULL)
            length--;
        DET_TRY(det_text_append(t->env, &t->header, t->old.data, length));
    } else {
        if (t->old.length > 0) {
            DET_TRY(move_aside(t->env, t->path, &place));
            det_log(t->env, DET_LOG_WARNING,
                    "%s has other columns than results have: it is kept as %s", t->path, place);
        }
        DET_TRY(det_text_append(t->env, &t->header, fixed.data, fixed.length));
        t->old_columns = FIRST_CLASS;
    }
    t->columns = t->old_columns;
fail:
    det_free(t->env, &place);
    det_text_free(t->env, &fixed);
    return status;
}

/* Which rows are current no more. */
struct outdated {
    struct cell run, step, data; /* these cells, or */
    int64_t first_step;          /* where `run` has no text: such a step or a later one */
};

static int64_t step_of(const struct cell *cell)
{
    int64_t step = 0;
    for (size_t i = 0; i < cell->length; i++) {
        if (cell->text[i] < '0' || cell->text[i] > '9' || step > INT64_MAX / 10 - 1)
            return -1;
        step = 10 * step + (cell->text[i] - '0');
    }
    return cell->length > 0 ? step : -1;
}

static bool is_outdated(const struct cell *cells, const struct outdated *outdated)
{
    if (outdated->run.text == NULL)
        return step_of(&cells[STEP]) >= outdated->first_step;
    return same_cell(&cells[RUN], &outdated->run) && same_cell(&cells[STEP], &outdated->step) &&
           same_cell(&cells[DATA], &outdated->data);
}

/* One row over into the new table. */
static det_status copy_row(struct table *t, const char **at, const struct outdated *outdated)
{
    struct cell cells[FIRST_STAT] = {{0}}, cell;
    const char *first = *at;
    size_t count = 0;
    bool more = true;
    for (; next_cell(at, &cell, &more); count++)
        if (count < FIRST_STAT)
            cells[count] = cell;
    const size_t length = (size_t)(cell.text + cell.length - first);
    *at += **at == '\n';
    if (length == 0)
        return DET_OK; /* an empty line */
    const bool current = count >= FIRST_STAT && !is_outdated(cells, outdated);
    const size_t begin = count >= FIRST_STAT ? cells[CURRENT].length : 0;
    if (count >= FIRST_STAT)
        DET_TRY_RETURN(det_text_append(t->env, &t->made, current ? cells[CURRENT].text : "0",
                                       current ? begin : 1));
    DET_TRY_RETURN(det_text_append(t->env, &t->made, first + begin, length - begin));
    for (; count < t->columns; count++)
        DET_TRY_RETURN(det_text_append(t->env, &t->made, ",", 1));
    return det_text_append(t->env, &t->made, "\n", 1);
}

static det_status copy_table(struct table *t, const char *rows, const struct outdated *outdated)
{
    DET_TRY_RETURN(det_text_append(t->env, &t->made, t->header.data, t->header.length));
    DET_TRY_RETURN(det_text_append(t->env, &t->made, "\n", 1));
    while (*rows != '\0')
        DET_TRY_RETURN(copy_row(t, &rows, outdated));
    return DET_OK;
}

/* --- a new row --- */

/* The column's name of a class: "mAP/NAME". */
static det_status class_cell(struct det_env *env, const char *name, struct det_text *text)
{
    char *column = NULL;
    DET_TRY_RETURN(det_format(env, &column, "mAP/%s", name));
    text->length = 0;
    const det_status status = det_text_csv(env, text, column);
    det_free(env, &column);
    return status;
}

/* Columns for the classes that have none yet. */
static det_status add_class_columns(struct table *t, const det_coco_result *coco)
{
    struct det_text name = {0};
    det_status status = DET_OK;
    for (int32_t c = 0; c < coco->class_count; c++) {
        DET_TRY(class_cell(t->env, coco->classes[c]->name, &name));
        const struct cell wanted = {name.data, name.length};
        const char *at = t->header.data;
        struct cell cell;
        bool more = true, found = false;
        while (!found && next_cell(&at, &cell, &more))
            found = same_cell(&cell, &wanted);
        if (found)
            continue;
        DET_TRY(det_text_printf(t->env, &t->header, ",%s", name.data));
        t->columns++;
    }
fail:
    det_text_free(t->env, &name);
    return status;
}

/* A figure that there is not, -1, is an empty cell. */
static det_status put_figure(struct table *t, double value)
{
    char number[32];
    return det_text_printf(t->env, &t->made, ",%s",
                           isfinite(value) && value >= 0 ? det_format_float(number, (float)value)
                                                         : "");
}

/* By the columns of the header. */
static det_status put_classes(struct table *t, const det_coco_result *coco)
{
    struct det_text name = {0};
    const char *at = t->header.data;
    struct cell column;
    bool more = true;
    det_status status = DET_OK;
    for (size_t i = 0; next_cell(&at, &column, &more); i++) {
        double value = -1;
        for (int32_t c = 0; i >= FIRST_CLASS && c < coco->class_count; c++) {
            DET_TRY(class_cell(t->env, coco->classes[c]->name, &name));
            if (same_cell(&column, &(struct cell){name.data, name.length})) {
                value = coco->classes[c]->stats[DET_COCO_AP];
                break;
            }
        }
        if (i >= FIRST_CLASS)
            DET_TRY(put_figure(t, value));
    }
fail:
    det_text_free(t->env, &name);
    return status;
}

static det_status put_row(struct table *t, const struct det_results_row *row,
                          const struct outdated *key)
{
    char date[DET_CLOCK_DATE_BYTES];
    DET_TRY_RETURN(det_text_printf(t->env, &t->made, "1,%s,%s,%s,%s,%s,%lld", det_clock_utc(date),
                                   key->run.text, row->form, key->step.text, key->data.text,
                                   (long long)row->coco->images));
    for (int i = 0; i < DET_COCO_STAT_COUNT; i++)
        DET_TRY_RETURN(put_figure(t, row->coco->stats[i]));
    DET_TRY_RETURN(put_figure(t, row->losses->localization));
    DET_TRY_RETURN(put_figure(t, row->losses->classification));
    DET_TRY_RETURN(put_figure(t, row->losses->regularization));
    DET_TRY_RETURN(put_figure(t, row->losses->total));
    DET_TRY_RETURN(put_classes(t, row->coco));
    return det_text_append(t->env, &t->made, "\n", 1);
}

static det_status write_table(const struct table *t)
{
    return det_write_file(t->env, t->path, t->made.data, t->made.length);
}

static det_status add_row(struct table *t, const struct det_results_row *row)
{
    struct det_text run = {0}, data = {0};
    char step[32];
    const char *rows = NULL;
    det_status status = DET_OK;
    snprintf(step, sizeof step, "%lld", (long long)row->step);
    DET_TRY(det_text_csv(t->env, &run, row->run));
    DET_TRY(det_text_csv(t->env, &data, row->data));
    const struct outdated key = {.run = {run.data, run.length},
                                 .step = {step, strlen(step)},
                                 .data = {data.data, data.length}};
    DET_TRY(open_table(t, &rows));
    DET_TRY(add_class_columns(t, row->coco));
    DET_TRY(copy_table(t, rows, &key));
    DET_TRY(put_row(t, row, &key));
    DET_TRY(write_table(t));
fail:
    det_text_free(t->env, &run);
    det_text_free(t->env, &data);
    return status;
}

det_status det_results_add(struct det_env *env, const char *path, const struct det_results_row *row)
{
    struct table t = {.env = env, .path = path};
    int lock = -1;
    DET_TRY_RETURN(lock_folder(env, path, &lock));
    const det_status status = add_row(&t, row);
    free_table(&t);
    unlock_folder(lock);
    return status;
}

det_status det_results_cut(struct det_env *env, const char *path, int64_t first_step)
{
    struct table t = {.env = env, .path = path};
    const struct outdated later = {.first_step = first_step};
    const char *rows = NULL;
    int lock = -1;
    det_status status = DET_OK;
    if (!det_file_exists(path))
        return DET_OK;
    DET_TRY_RETURN(lock_folder(env, path, &lock));
    DET_TRY(open_table(&t, &rows));
    DET_TRY(copy_table(&t, rows, &later));
    if (t.old.length != t.made.length || memcmp(t.old.data, t.made.data, t.made.length) != 0)
        DET_TRY(write_table(&t));
fail:
    free_table(&t);
    unlock_folder(lock);
    return status;
}

det_status det_results_set_aside(struct det_env *env, const char *path)
{
    char *place = NULL;
    int lock = -1;
    if (!det_file_exists(path))
        return DET_OK;
    DET_TRY_RETURN(lock_folder(env, path, &lock));
    const det_status status = move_aside(env, path, &place);
    if (status == DET_OK)
        det_log(env, DET_LOG_INFO, "%s holds results of an earlier training: they are kept as %s",
                path, place);
    det_free(env, &place);
    unlock_folder(lock);
    return status;
}
