"""Prints MOTA, MOTP (as a distance), IDF1, switches, misses, false positives and objects of a file of boxes as py-motmetrics
computes them. A line of the file: set (0 truth, 1 predicted), frame, id, xmin, ymin, xmax, ymax."""
import sys

import motmetrics
import numpy

frames = {}
for line in open(sys.argv[1]):
    which, frame, number, *box = line.split()
    frames.setdefault(int(frame), ([], []))[int(which)].append((int(number), [float(v) for v in box]))


def iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


accumulator = motmetrics.MOTAccumulator(auto_id=True)
for frame in sorted(frames):
    truth, predicted = frames[frame]
    distances = numpy.full((len(truth), len(predicted)), numpy.nan)
    for i, (_, a) in enumerate(truth):
        for k, (_, b) in enumerate(predicted):
            if iou(a, b) >= 0.5:
                distances[i, k] = 1 - iou(a, b)
    accumulator.update([n for n, _ in truth], [n for n, _ in predicted], distances)
names = ["mota", "motp", "idf1", "num_switches", "num_misses", "num_false_positives", "num_objects"]
summary = motmetrics.metrics.create().compute(accumulator, metrics=names, name="x")
for name in names:
    print(repr(float(summary[name].iloc[0])))
