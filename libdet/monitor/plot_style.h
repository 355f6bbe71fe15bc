/* plot_style.h: the style sheet of det_plot_write()'s page, light and dark. */
#ifndef DET_MONITOR_PLOT_STYLE_H
#define DET_MONITOR_PLOT_STYLE_H

extern const char det_plot_style[];

#endif
