/* chart.h: line charts as SVG, for a page that needs no script: axes with round numbers, a legend,
 * a smoothed line over a faint one where there are many points, values as tooltips where there are
 * few. Colours are CSS classes c0..c7, so that the page decides on light and dark. */
#ifndef DET_MONITOR_CHART_H
#define DET_MONITOR_CHART_H

#include "support/xml_writer.h"

enum { DET_CHART_COLOURS = 8 };

struct det_chart_series {
    const char *name;
    const double *x, *y; /* [count] by rising x; values that are not finite are left out */
    size_t count;
    int colour; /* taken modulo DET_CHART_COLOURS */
    bool dashed;
};

struct det_chart {
    const char *title, *x_name;
    const struct det_chart_series *series;
    size_t series_count;
    bool smooth;         /* many noisy points: see above; and single peaks do not set the scale */
    bool from_zero;      /* the y axis begins at 0 */
    double x_max, y_max; /* fixed ends of the axes; 0: from the values */
};

/* Writes <figure>...</figure>; nothing when no series has a point. */
det_status det_chart_put(struct det_xml_writer *xml, const struct det_chart *chart);

/* At most 4 significant digits, large numbers as 12k, 3M. Returns `buffer`. */
char *det_chart_number(char buffer[32], double value);

#endif
