/* plot_parts.h: what the files of det_plot_write() share. */
#ifndef DET_MONITOR_PLOT_PARTS_H
#define DET_MONITOR_PLOT_PARTS_H

#include "det/event_log.h"
#include "support/io.h"
#include "support/xml_writer.h"

struct det_plot {
    det_context *context;
    struct det_env *env;
    /* NULL: no such folder or no event files in it. `eval` is of the exported form where both were
     * made, `api` then as eval_continuously() evaluates, else NULL. */
    det_event_log *train, *eval, *api;
    const char *eval_run; /* name of the run behind `eval`; in `runs` */
    struct det_path_list runs;
    struct det_text html;
    struct det_xml_writer xml; /* into `html` */
};

/* The newest event of a tag, NULL when there is none; `log` may be NULL. */
const det_event *det_plot_last(const det_event_log *log, const char *tag);
/* Its value, NaN when there is none. */
double det_plot_last_value(const det_event_log *log, const char *tag);

/* plot_charts.c: sections "training" and "evaluation". */
det_status det_plot_append_charts(struct det_plot *plot);
/* plot_classes.c: the table of the classes. */
det_status det_plot_append_classes(struct det_plot *plot);
/* plot_pictures.c: best, worst, input. */
det_status det_plot_append_pictures(struct det_plot *plot);

#endif
