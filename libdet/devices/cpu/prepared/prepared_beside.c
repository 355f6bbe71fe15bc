#include "devices/cpu/prepared/prepared_beside.h"

#include "base/pool.h"
#include "devices/cpu/prepared/prepared_strassen.h"
#include "ops/cpu/blocked/strassen.h"
#include "ops/cpu/conv/conv_view.h"

#define TASK_PIXELS 64 /* at least */

struct job {
    const struct detk_pointwise *product;
    const struct detk_map *map;
    int32_t first, band, bands; /* rows of a task, tasks of an image */
    struct detk_beside to;
};

/* Of so many rows. */
static int64_t groups_of(const struct detk_pointwise *p, int64_t rows, int32_t count)
{
    return p->strassen == NULL ? 0 : rows * detk_strassen_line(count) / DETK_STRASSEN_PIXELS;
}

size_t detk_beside_words(const struct detk_pointwise *p, int64_t rows, int32_t count)
{
    return !p->paired
               ? 0
               : (size_t)detk_lines(rows * count) +
                     (size_t)(groups_of(p, rows, count) * detk_strassen_group_words(p->in_c));
}

/* How `rows` of them lie in `words`. */
static struct detk_beside lay_out(const struct detk_pointwise *p, int64_t rows, int32_t count,
                                  float *words)
{
    if (!p->paired)
        return (struct detk_beside){0};
    const bool groups = groups_of(p, rows, count) > 0;
    return (struct detk_beside){
        .pairs = (const int32_t *)(void *)words,
        .sums = groups ? words + detk_lines(rows * count) : NULL,
        .group = groups ? detk_strassen_group_words(p->in_c) : 0,
    };
}

struct detk_beside detk_beside_from(struct detk_beside beside, ptrdiff_t row, int32_t count)
{
    const ptrdiff_t pixels = row * detk_strassen_line(count);
    if (beside.pairs != NULL)
        beside.pairs += row * count;
    if (beside.sums != NULL)
        beside.sums = pixels % DETK_STRASSEN_PIXELS == 0
                          ? beside.sums + pixels / DETK_STRASSEN_PIXELS * beside.group
                          : NULL;
    return beside;
}

/* `to` is where there is room. */
static void fill(const struct detk_pointwise *p, const float *a, ptrdiff_t a_row, ptrdiff_t a_block,
                 int32_t rows, int32_t count, struct detk_beside to)
{
    const struct detk_blocked *k = p->kernels;
    const int32_t line = to.sums == NULL ? 0 : detk_strassen_line(count);
    /* Where all columns are by that scheme, and rows are whole groups, only pixels behind them need
     * the other. */
    const bool all = detk_strassen_leaves_columns(p) || line % DETK_STRASSEN_PIXELS != 0;
    const int32_t begin = all ? 0 : line;
    if (line > 0)
        k->strassen_sums(a, a_row, a_block, line, p->in_c, (int32_t)groups_of(p, rows, count),
                         (float *)to.sums);
    for (int32_t row = 0; row < rows && begin < count; row++, a += a_row)
        k->pairs(a + (ptrdiff_t)begin * k->words, a_block, p->in_c, count - begin,
                 (int32_t *)to.pairs + (ptrdiff_t)row * count + begin);
}

struct detk_beside detk_beside_make(const struct detk_pointwise *p, const float *a, ptrdiff_t a_row,
                                    ptrdiff_t a_block, int32_t rows, int32_t count, float *words)
{
    const struct detk_beside to = lay_out(p, rows, count, words);
    if (to.pairs != NULL)
        fill(p, a, a_row, a_block, rows, count, to);
    return to;
}

static void run_task(void *argument, int32_t task, int32_t worker)
{
    (void)worker;
    const struct job *job = argument;
    const struct detk_map *map = job->map;
    const int32_t image = task / job->bands, y = task % job->bands * job->band;
    const int32_t rows = (int32_t)detk_min(job->band, map->h - y);
    if (rows <= 0)
        return;
    fill(job->product, detk_map_at(map, job->first + image, 0, y, 0), map->row, map->block, rows,
         map->w, detk_beside_from(job->to, (ptrdiff_t)image * map->h + y, map->w));
}

struct detk_beside detk_beside_of_map(struct det_pool *pool, const struct detk_pointwise *p,
                                      const struct detk_map *map, int32_t first, int32_t images,
                                      float *words)
{
    struct job job = {.product = p,
                      .map = map,
                      .first = first,
                      .to = lay_out(p, (int64_t)images * map->h, map->w, words)};
    if (job.to.pairs == NULL)
        return job.to;
    /* An image's and a task's groups begin with a row. */
    if (images > 1 && (int64_t)map->h * detk_strassen_line(map->w) % DETK_STRASSEN_PIXELS != 0)
        job.to.sums = NULL;
    job.bands = (int32_t)detk_div_up(map->h, detk_div_up(TASK_PIXELS, map->w));
    job.band = (int32_t)detk_div_up(map->h, 2 * (int64_t)job.bands) * 2;
    det_pool_run(pool, images * job.bands, run_task, &job);
    return job.to;
}
