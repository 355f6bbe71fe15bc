#include "track/assign.h"

#include <math.h>

#include "support/mem.h"

/* Columns are counted from 1; column 0 is where the path of a new row begins. The columns behind
 * the given ones are "alone": one for each row, which costs `limit`. */
struct problem {
    const double *cost;
    int32_t rows, columns;
    double limit, forbidden;
};

static double cost_of(const struct problem *p, int32_t row, int32_t column)
{
    if (column > p->columns)
        return column - p->columns == row ? p->limit : p->forbidden;
    const double cost = p->cost[(size_t)(row - 1) * (size_t)p->columns + (size_t)(column - 1)];
    return cost <= p->limit ? cost : p->forbidden; /* NaN too */
}

static det_status reserve(struct det_env *env, struct det_assign *w, size_t rows, size_t columns)
{
    DET_TRY_RETURN(det_grow(env, &w->row_potential, &w->row_capacity, rows,
                            sizeof *w->row_potential, "assignment"));
    DET_TRY_RETURN(det_grow(env, &w->column_potential, &w->column_capacity[0], columns,
                            sizeof *w->column_potential, "assignment"));
    DET_TRY_RETURN(det_grow(env, &w->distance, &w->column_capacity[1], columns, sizeof *w->distance,
                            "assignment"));
    DET_TRY_RETURN(det_grow(env, &w->column_row, &w->column_capacity[2], columns,
                            sizeof *w->column_row, "assignment"));
    DET_TRY_RETURN(det_grow(env, &w->before, &w->column_capacity[3], columns, sizeof *w->before,
                            "assignment"));
    return det_grow(env, &w->visited, &w->visited_capacity, columns, sizeof *w->visited,
                    "assignment");
}

/* Extends the matching by `row` along the cheapest path to a free column. */
static void add_row(const struct problem *p, struct det_assign *w, int32_t row, int32_t all)
{
    int32_t column = 0;
    for (int32_t j = 0; j <= all; j++) {
        w->distance[j] = INFINITY;
        w->visited[j] = false;
    }
    w->column_row[0] = row;
    do {
        const int32_t at = w->column_row[column];
        double step = INFINITY;
        int32_t next = 0;
        w->visited[column] = true;
        for (int32_t j = 1; j <= all; j++) {
            if (w->visited[j])
                continue;
            const double reduced =
                cost_of(p, at, j) - w->row_potential[at] - w->column_potential[j];
            if (reduced < w->distance[j]) {
                w->distance[j] = reduced;
                w->before[j] = column;
            }
            if (w->distance[j] < step) {
                step = w->distance[j];
                next = j;
            }
        }
        for (int32_t j = 0; j <= all; j++) {
            if (w->visited[j]) {
                w->row_potential[w->column_row[j]] += step;
                w->column_potential[j] -= step;
            } else {
                w->distance[j] -= step;
            }
        }
        column = next;
    } while (w->column_row[column] != 0);
    while (column != 0) {
        const int32_t previous = w->before[column];
        w->column_row[column] = w->column_row[previous];
        column = previous;
    }
}

det_status det_assign(struct det_env *env, struct det_assign *w, const double *cost, int32_t rows,
                      int32_t columns, double limit, int32_t *row_column)
{
    const int32_t all = rows + columns;
    double lowest = fmin(limit, 0);
    DET_TRY_RETURN(reserve(env, w, (size_t)rows + 1, (size_t)all + 1));
    for (size_t i = 0; i < (size_t)rows * (size_t)columns; i++)
        if (cost[i] < lowest)
            lowest = cost[i];
    /* More than any matching without a forbidden pair can differ, and still exact in a double. */
    const struct problem p = {cost, rows, columns, limit,
                              limit + (limit - lowest + 1) * ((double)rows + 1)};
    for (int32_t i = 0; i <= rows; i++)
        w->row_potential[i] = 0;
    for (int32_t j = 0; j <= all; j++) {
        w->column_potential[j] = 0;
        w->column_row[j] = 0;
    }
    for (int32_t row = 1; row <= rows; row++)
        add_row(&p, w, row, all);
    for (int32_t i = 0; i < rows; i++)
        row_column[i] = -1;
    for (int32_t j = 1; j <= columns; j++)
        if (w->column_row[j] != 0)
            row_column[w->column_row[j] - 1] = j - 1;
    return DET_OK;
}

void det_assign_free(struct det_env *env, struct det_assign *w)
{
    det_free(env, &w->row_potential);
    det_free(env, &w->column_potential);
    det_free(env, &w->distance);
    det_free(env, &w->column_row);
    det_free(env, &w->before);
    det_free(env, &w->visited);
    *w = (struct det_assign){0};
}
