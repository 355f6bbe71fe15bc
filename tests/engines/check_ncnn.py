"""ncnn files in ncnn against libdet."""
import os
import time

import ncnn
import numpy as np

import common
from common import FLOAT16, FLOAT32


class Ncnn:
    def __init__(self, exported):
        self.net = ncnn.Net()
        self.net.opt.num_threads = 2
        self.net.opt.use_vulkan_compute = False
        self.net.opt.use_fp16_packed = self.net.opt.use_fp16_storage = self.net.opt.use_fp16_arithmetic = False
        self.net.opt.use_bf16_storage = False
        base = os.path.join(exported.folder, exported.name)
        if self.net.load_param(base + ".param") != 0 or self.net.load_model(base + ".bin") != 0:
            raise RuntimeError(f"{base}: ncnn does not load it")

    def run(self, frame, names=("encodings", "scores")):
        """Outputs for a frame [H, W, 3] of -1 .. 1."""
        extractor = self.net.create_extractor()
        planes = np.ascontiguousarray(frame.transpose(2, 0, 1))  # lent to ncnn until the outputs are there
        extractor.input("input", ncnn.Mat(planes))
        found = []
        for name in names:
            status, blob = extractor.extract(name)
            if status != 0:
                raise RuntimeError(f"ncnn does not compute {name}")
            found.append(np.array(blob))
        return found


def frame_of(exported, own):
    """libdet's input of the network, in the size that the .param names."""
    with open(os.path.join(exported.folder, exported.name + ".param"), encoding="ascii") as file:
        line = next(line for line in file if line.startswith("Input "))
    width, height = (int(word.split("=")[1]) for word in line.split()[5:7])
    return own.input.reshape(height, width, 3)


def compare(libdet, exported, model, pictures):
    engine = Ncnn(exported)
    worst = [0.0, 0.0]
    for picture in pictures:
        own = libdet.run(model, picture)
        encodings, scores = engine.run(frame_of(exported, own))
        worst[0] = max(worst[0], common.difference(encodings, own.encodings))
        worst[1] = max(worst[1], common.difference(scores, own.scores))
    return worst


def suppress(boxes, scores, iou_threshold):
    """Places of the boxes that stay, best first."""
    order = list(np.argsort(-scores, kind="stable"))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while order and len(kept) < 100:
        best = order.pop(0)
        kept.append(best)
        rest = np.array(order, int)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        common_area = np.prod(np.clip(high - low, 0, None), 1)
        order = [place for place, iou in zip(order, common_area / (areas[best] + areas[rest] - common_area)) if iou <= iou_threshold]
    return kept


def detect(engine, frame, score_threshold=1e-8, iou_threshold=0.6):
    """Rows ymin xmin ymax xmax score id, by what docs/deploy_ncnn.md does in C++."""
    encodings, scores, anchors = engine.run(frame, ("encodings", "scores", "anchors"))
    size = anchors[:, 2:] - anchors[:, :2]
    center = anchors[:, :2] + size / 2 + encodings[:, :2] / 10 * size
    half = np.exp(encodings[:, 2:] / 5) * size / 2
    boxes = np.concatenate([center - half, center + half], 1)
    rows = []
    for column in range(scores.shape[1]):
        above = np.flatnonzero(scores[:, column] > score_threshold)
        for place in suppress(boxes[above], scores[above, column], iou_threshold):
            # The picture's edge cuts what was kept, not what is compared.
            rows.append([*np.clip(boxes[above[place]], 0, 1), scores[above[place], column], column + 1])
    return sorted(rows, key=lambda row: -row[4])[:100]


def check(options):
    libdet = common.Libdet(options.build)
    report = common.Report()
    pictures = common.pictures(options.pictures)
    model = libdet.model(320, 3)
    for precision in (FLOAT32, FLOAT16):
        exported = libdet.export(model, "ncnn", f"raw-{precision}", precision=precision)
        extra = (2 * exported.encodings, 2 * exported.scores) if precision == FLOAT16 else (0, 0)
        worst = compare(libdet, exported, model, pictures)
        ok = worst[0] <= common.LIMIT + extra[0] and worst[1] <= common.LIMIT + extra[1]
        report.say(ok, f"ncnn, float{16 if precision else 32}: encodings {worst[0]:.2g}, scores {worst[1]:.2g}")
    with open(os.path.join(exported.folder, exported.name + ".labels.txt"), encoding="utf-8") as file:
        report.say(file.read() == 'Waschbär\n浣熊\n"raccoon"\n', "labels")
    # Rows and columns of the pyramid are cut where the size is no multiple of 32.
    for seed in range(5):
        model = libdet.random(seed)
        exported = libdet.export(model, "ncnn", "random")
        worst = compare(libdet, exported, model, pictures[:2])
        report.say(max(worst) <= 2 * common.LIMIT, f"random spec {seed}: encodings {worst[0]:.2g}, scores {worst[1]:.2g}")
    report.end()


def check_specs(options):
    """Random specs: the writer's proof, and ncnn loads and runs them, with outputs of the right shapes."""
    libdet = common.Libdet(options.build)
    report = common.Report()
    begun = time.time()
    for seed in range(options.first, options.first + options.specs):
        precision = seed % 2
        try:
            model = libdet.random(seed)
            exported = libdet.export(model, "ncnn", "spec", precision=precision, verify=int(seed % 10 == 0))
            engine = Ncnn(exported)
            rows = int(exported.signature.split("encodings: float32 [")[1].split(",")[0])
            columns = int(exported.signature.split("scores: float32 [")[1].split(",")[1].split("]")[0])
            if seed % 10 == 0:
                height, width = (int(word) for word in exported.signature.split("[3, ")[1].split("]")[0].split(","))
                encodings, scores = engine.run(np.zeros((height, width, 3), np.float32))
                if encodings.shape != (rows, 4) or scores.shape != (rows, columns):
                    raise RuntimeError(f"shapes {encodings.shape} {scores.shape}, expected {rows}, {columns}")
            os.remove(model)
        except Exception as error:  # whatever an engine complains with
            report.say(False, f"spec {seed}: {error}")
    report.say(report.failures == 0, f"{options.specs} specs from {options.first} in {time.time() - begun:.0f} s, {report.failures} complaints")
    report.end()


def matrix(options):
    """The table of docs/deploy_ncnn.md."""
    libdet = common.Libdet(options.build)
    pictures = common.pictures(options.pictures)
    print("| size | classes | engine | encodings | scores | files, MB | written and proved, s |\n|---|---|---|---|---|---|---|")
    for size in (320, 640):
        for classes in (1, 3, 90):
            model = libdet.model(size, classes)
            for precision in (FLOAT32, FLOAT16):
                exported = libdet.export(model, "ncnn", "matrix", precision=precision)
                worst = compare(libdet, exported, model, pictures)
                print(f"| {size} | {classes} | ncnn, float{16 if precision else 32} | {worst[0]:.1e} | {worst[1]:.1e} | {exported.bytes / 1e6:.1f} | {exported.seconds:.2f} |", flush=True)
    if common.shared("goldens", "trained_raccoon") is None:
        return
    raccoons = common.Raccoons(libdet, options.build)
    print(f"\n| trained_raccoon by | AP | AP50 |\n|---|---|---|\n| det-eval | {raccoons.own[0]:.3f} | {raccoons.own[1]:.3f} |")
    for precision in (FLOAT32, FLOAT16):
        exported = libdet.export(raccoons.model, "ncnn", "raccoons", precision=precision)
        engine = Ncnn(exported)
        figures = raccoons.by(lambda picture, e=engine, x=exported: detect(e, frame_of(x, libdet.run(raccoons.model, picture))))
        print(f"| ncnn, float{16 if precision else 32} | {figures[0]:.3f} | {figures[1]:.3f} |", flush=True)


if __name__ == "__main__":
    chosen = common.arguments(__doc__)
    if chosen.specs:
        check_specs(chosen)
    elif chosen.matrix:
        matrix(chosen)
    else:
        check(chosen)
