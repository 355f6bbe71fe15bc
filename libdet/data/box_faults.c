#include "data/box_faults.h"

#include <math.h>

unsigned det_box_faults(const double box[4], double *beyond)
{
    *beyond = 0;
    for (int c = 0; c < 4; c++)
        if (!isfinite(box[c]))
            return DET_BOX_NOT_FINITE;
    for (int c = 0; c < 4; c++)
        *beyond = fmax(*beyond, fmax(-box[c], box[c] - 1));
    unsigned faults = 0;
    if (box[0] > box[2] || box[1] > box[3])
        faults |= DET_BOX_REVERSED;
    if (!(box[0] < box[2] && box[1] < box[3]))
        faults |= DET_BOX_NO_AREA;
    if (*beyond > DET_BOX_TOLERANCE)
        faults |= DET_BOX_OUTSIDE;
    return faults;
}

const char *det_box_fault_text(enum det_box_fault fault)
{
    switch (fault) {
    case DET_BOX_NOT_FINITE:
        return "is not finite";
    case DET_BOX_REVERSED:
        return "is reversed (min > max)";
    case DET_BOX_NO_AREA:
        return "has no area";
    case DET_BOX_OUTSIDE:
        return "is outside the image: coordinates are shares of its size, 0 to 1";
    }
    return "is sound";
}

bool det_box_clip(double box[4])
{
    for (int c = 0; c < 4; c++)
        box[c] = box[c] < 0 ? 0 : box[c] > 1 ? 1 : box[c];
    return box[0] < box[2] && box[1] < box[3];
}
