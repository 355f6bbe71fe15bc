#include "devices/cpu/prepared/prepared_strassen.h"

#include <string.h>

#include "ops/cpu/blocked/strassen.h"
#include "support/mem.h"

#define LEAST_TERMS   32  /* of fewer, and for fewer columns, sums take longer than the products */
#define LEAST_COLUMNS 64  /* that they save */
#define LEAST_PIXELS  256 /* for fewer, weights take longer to arrive */
#define LEAST_WIDTH   16  /* in less, too many pixels are not in groups */

#define COLUMNS (DETK_STRASSEN_COLUMNS / 2) /* of a half */
#define WORD    2                           /* weights in a word */
#define PAIRED  2                           /* words of four terms */

/* Panels that are whole: all but perhaps the last. */
static int32_t whole_panels(const struct detk_pointwise *p)
{
    const struct detk_panel_span last = detk_panel_span_at(p, p->panels - 1);
    const bool whole = last.vectors * p->kernels->lanes == DETK_STRASSEN_COLUMNS;
    return p->panels - (whole ? 0 : 1);
}

bool detk_strassen_leaves_columns(const struct detk_pointwise *p)
{
    return p->strassen == NULL || whole_panels(p) < p->panels;
}

size_t detk_strassen_floats(const struct detk_pointwise *p)
{
    return p->strassen == NULL
               ? 0
               : (size_t)whole_panels(p) * (size_t)detk_strassen_panel_words(p->in_c);
}

const float *detk_strassen_panel(const struct detk_pointwise *p, int32_t panel)
{
    return p->strassen == NULL || panel >= whole_panels(p)
               ? NULL
               : p->strassen + panel * detk_strassen_panel_words(p->in_c);
}

/* Four terms of 16 columns: two words of each. */
struct step {
    int16_t value[PAIRED][COLUMNS][WORD];
};

/* Terms 4 * `four` and the next of half `k` of a panel's columns; zeros behind the last. */
static struct step step_of(const struct detk_pointwise *p, int32_t panel, int32_t four, int k)
{
    struct step step = {{{{0}}}};
    const size_t first = (size_t)panel * DETK_STRASSEN_COLUMNS + (size_t)(k * COLUMNS);
    if (four * PAIRED < p->rows)
        memcpy(&step,
               p->packed + first * (size_t)p->rows + (size_t)(four * PAIRED) * (size_t)COLUMNS,
               sizeof step);
    return step;
}

/* a + sign * b */
static struct step added(struct step a, const struct step *b, int sign)
{
    for (int w = 0; w < PAIRED; w++)
        for (int j = 0; j < COLUMNS; j++)
            for (int i = 0; i < WORD; i++)
                a.value[w][j][i] = (int16_t)(a.value[w][j][i] + sign * b->value[w][j][i]);
    return a;
}

/* Adds the products of each column's own pairs. */
static void add_pairs(const struct step *step, uint32_t sums[COLUMNS])
{
    for (int j = 0; j < COLUMNS; j++)
        for (int i = 0; i < WORD; i++)
            sums[j] += (uint32_t)(step->value[0][j][i] * step->value[1][j][i]);
}

/* What these come to, of each of the seven. */
struct own_pairs {
    uint32_t sum[DETK_STRASSEN_PRODUCTS][COLUMNS];
};

static void put_step(const struct step *step, enum detk_strassen_product product, int32_t index,
                     int32_t steps, float *panel, struct own_pairs *own)
{
    memcpy(panel + ((int32_t)product * steps + index) * DETK_STRASSEN_STEP_WORDS, step,
           sizeof *step);
    add_pairs(step, own->sum[product]);
}

/* Step `index` of each product. */
static void pack_step(const struct detk_pointwise *p, int32_t index, int32_t at, float *panel,
                      struct own_pairs *own)
{
    /* A block's fours 0 and 2 are of half 0, 1 and 3 of half 1. */
    const int32_t four = index / 2 * 4 + index % 2 * 2, steps = detk_strassen_steps(p->in_c);
    const struct step b00 = step_of(p, at, four, 0), b01 = step_of(p, at, four, 1);
    const struct step b10 = step_of(p, at, four + 1, 0), b11 = step_of(p, at, four + 1, 1);
    const struct step m1 = added(b00, &b11, 1), m3 = added(b01, &b11, -1);
    const struct step m4 = added(b10, &b00, -1), m6 = added(b00, &b01, 1);
    const struct step m7 = added(b10, &b11, 1);
    put_step(&m1, DETK_M1, index, steps, panel, own);
    put_step(&b00, DETK_M2, index, steps, panel, own);
    put_step(&m3, DETK_M3, index, steps, panel, own);
    put_step(&m4, DETK_M4, index, steps, panel, own);
    put_step(&b11, DETK_M5, index, steps, panel, own);
    put_step(&m6, DETK_M6, index, steps, panel, own);
    put_step(&m7, DETK_M7, index, steps, panel, own);
}

/* What the products of a column's pairs take off a packed bias. */
static void plain_pairs(const struct detk_pointwise *p, int32_t panel, int k,
                        uint32_t sums[COLUMNS])
{
    memset(sums, 0, COLUMNS * sizeof *sums);
    for (int32_t four = 0; four * PAIRED < p->rows; four++) {
        const struct step step = step_of(p, panel, four, k);
        add_pairs(&step, sums);
    }
}

static void pack_panel(const struct detk_pointwise *p, int32_t at, float *panel)
{
    const int32_t steps = detk_strassen_steps(p->in_c);
    struct own_pairs own = {{{0}}};
    uint32_t plain[2][COLUMNS], bias[2][COLUMNS], of_columns[DETK_OF_COLUMNS][COLUMNS];
    for (int32_t i = 0; i < steps; i++)
        pack_step(p, i, at, panel, &own);
    memcpy(bias, p->bias + at * DETK_STRASSEN_COLUMNS, sizeof bias);
    plain_pairs(p, at, 0, plain[0]);
    plain_pairs(p, at, 1, plain[1]);
    for (int j = 0; j < COLUMNS; j++) {
        const uint32_t bias_0 = bias[0][j] + plain[0][j], bias_1 = bias[1][j] + plain[1][j];
        of_columns[DETK_BY_M1][j] = bias_0 - own.sum[DETK_M1][j] - own.sum[DETK_M4][j] +
                                    own.sum[DETK_M5][j] - own.sum[DETK_M7][j];
        of_columns[DETK_BY_M2][j] = bias_0 - own.sum[DETK_M2][j] - own.sum[DETK_M4][j];
        of_columns[DETK_BY_M3][j] = bias_1 - own.sum[DETK_M3][j] - own.sum[DETK_M5][j];
        of_columns[DETK_TO_C11][j] = own.sum[DETK_M7][j] - own.sum[DETK_M6][j];
    }
    memcpy(panel + DETK_STRASSEN_PRODUCTS * steps * DETK_STRASSEN_STEP_WORDS, of_columns,
           sizeof of_columns);
}

bool detk_strassen_gains(const struct detk_pointwise *p, int32_t h, int32_t w)
{
    return p->in_c >= LEAST_TERMS && p->out_c >= LEAST_COLUMNS && w >= LEAST_WIDTH &&
           (int64_t)h * w >= LEAST_PIXELS;
}

det_status detk_strassen_pack(struct det_env *env, struct detk_pointwise *p)
{
    const int32_t panels = whole_panels(p);
    if (p->kernels->strassen == NULL || !p->paired || panels == 0 || p->finish.sums == DETK_Q8_ANY)
        return DET_OK;
    const ptrdiff_t words = detk_strassen_panel_words(p->in_c);
    DET_TRY_RETURN(det_alloc(env, &p->strassen, (size_t)panels, (size_t)words * sizeof(float),
                             "packed weights"));
    for (int32_t i = 0; i < panels; i++)
        pack_panel(p, i, p->strassen + i * words);
    return DET_OK;
}
