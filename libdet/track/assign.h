/* assign.h: which rows belong to which columns at the least cost, where a row may stay alone.
 *
 * Shortest augmenting paths with potentials (Kuhn, Munkres; as in Jonker and Volgenant, "A shortest
 * augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987),
 * O(rows^2 (rows + columns)). */
#ifndef DET_TRACK_ASSIGN_H
#define DET_TRACK_ASSIGN_H

#include "support/env.h"

/* Kept between calls. Start with zeros. */
struct det_assign {
    double *row_potential, *column_potential, *distance;
    int32_t *column_row, *before;
    bool *visited;
    size_t row_capacity, column_capacity[4];
    size_t visited_capacity;
};

/* cost [rows][columns]; a pair costs more than `limit`, or infinity: it is never made. row_column
 * [rows]: its column, -1: none. The sum of the costs of the pairs plus `limit` for each row that is
 * left alone is the least possible. */
det_status det_assign(struct det_env *env, struct det_assign *work, const double *cost,
                      int32_t rows, int32_t columns, double limit, int32_t *row_column);
void det_assign_free(struct det_env *env, struct det_assign *work);

#endif
