#include "devices/cpu/prepared/prepared_pairs.h"

#include "base/pool.h"
#include "ops/cpu/conv/conv_view.h"

#define TASK_PIXELS 64 /* at least */

struct job {
    const struct detk_pointwise *product;
    const struct detk_map *map;
    int32_t first, band, bands; /* rows of a task, tasks of an image */
    int32_t *to;
};

size_t detk_pairs_words(const struct detk_pointwise *p, int64_t pixels)
{
    return p->kernels->pairs == NULL ? 0 : (size_t)detk_lines(pixels);
}

const int32_t *detk_pairs_make(const struct detk_pointwise *p, const float *a, ptrdiff_t a_row,
                               ptrdiff_t a_block, int32_t rows, int32_t count, float *words)
{
    if (p->kernels->pairs == NULL)
        return NULL;
    int32_t *to = (int32_t *)(void *)words;
    for (int32_t row = 0; row < rows; row++)
        p->kernels->pairs(a + row * a_row, a_block, p->in_c, count, to + (ptrdiff_t)row * count);
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
    int32_t *to = job->to + ((ptrdiff_t)image * map->h + y) * map->w;
    (void)detk_pairs_make(job->product, detk_map_at(map, job->first + image, 0, y, 0), map->row,
                          map->block, rows, map->w, (float *)(void *)to);
}

const int32_t *detk_pairs_of_map(struct det_pool *pool, const struct detk_pointwise *p,
                                 const struct detk_map *map, int32_t first, int32_t images,
                                 float *words)
{
    if (p->kernels->pairs == NULL)
        return NULL;
    struct job job = {.product = p, .map = map, .first = first, .to = (int32_t *)(void *)words};
    job.band = (int32_t)detk_min(map->h, detk_div_up(TASK_PIXELS, map->w));
    job.bands = (int32_t)detk_div_up(map->h, job.band);
    det_pool_run(pool, images * job.bands, run_task, &job);
    return job.to;
}
