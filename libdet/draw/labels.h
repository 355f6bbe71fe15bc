/* labels.h: where the labels of a picture's boxes stand, so that none covers another, or the
 * legend, or leaves the picture. Boxes are drawn first, then the labels, the most important first:
 * who comes first has the choice.
 *
 * A label stands above its box at the left; where that is taken, at one of the other places along
 * the box's edges, in a fixed order. Where there is no room for it, its last word is tried (the
 * score of "traffic light 87%", the track of "car 87% #12"; the colour says the class), of a single
 * long word its beginning; where there is none for that either, the box has no label. With n labels
 * n^2 comparisons of a few nanoseconds, the same result on any machine. */
#ifndef DET_DRAW_LABELS_H
#define DET_DRAW_LABELS_H

#include "draw/draw.h"

/* More plates than a picture has room for: they grow with it. Further ones are not drawn. */
enum { DET_MOST_LABELS = 1024 };

/* What is taken, as ymin, xmin, ymax, xmax in pixels; zeroed for a new picture. */
struct det_labels {
    int32_t count;
    float areas_px[DET_MOST_LABELS][4];
};

/* The label of a box of det_draw_box(); false: there was no room, or nothing to draw. */
bool det_draw_label(struct det_labels *labels, struct det_surface to, const float box_norm[4],
                    int32_t class_index, const char *text);

/* The same of a detection: its box, its label. */
void det_draw_detection(struct det_surface to, const det_detection *detection);
bool det_draw_detection_label(struct det_labels *labels, struct det_surface to,
                              const det_detection *detection, const char *text);

/* Boxes [count] with their classes' names, as they are in a data set. */
void det_draw_ground_truth(struct det_surface to, const float (*boxes_norm)[4],
                           const int32_t *class_index, size_t count,
                           const char *const *class_names);

/* Lines of text on plates, one below the other in the upper left corner; in further columns where
 * one is as high as the picture. */
void det_draw_legend(struct det_labels *labels, struct det_surface to, const det_legend_line *lines,
                     size_t count);

#endif
