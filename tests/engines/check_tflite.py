"""TFLite files in LiteRT (with XNNPACK and by its own kernels), the Task Library and MediaPipe where they are, against libdet."""
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np

import common
from common import DETECTIONS, FLOAT16, FLOAT32, FLOAT_NHWC, IMAGE, INT8, RAW, UINT8


class LiteRt:
    """A model file; `xnnpack`: by that delegate, else by LiteRT's own kernels."""

    def __init__(self, path, xnnpack=True, threads=1):
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.interpreter = Interpreter(path, num_threads=threads, experimental_op_resolver_type=resolver)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.outputs = self.interpreter.get_output_details()

    def run(self, pixels):
        if tuple(self.input["shape"]) != pixels.shape:
            self.interpreter.resize_tensor_input(self.input["index"], pixels.shape)
            self.interpreter.allocate_tensors()
            self.input["shape"] = pixels.shape
        self.interpreter.set_tensor(self.input["index"], pixels)
        self.interpreter.invoke()
        return [self.interpreter.get_tensor(output["index"]) for output in self.outputs]


def path_of(file):
    return os.path.join(file.folder, file.name + ".tflite")


def input_of(kind, own, picture, engine):
    return picture[None] if kind == IMAGE else own.input.reshape(engine.input["shape"])


def rows_of(outputs):
    """[n, 6] of boxes, classes, scores, count, cut at the picture's edges; classes as ids."""
    boxes, classes, scores, count = (output[0] for output in outputs)
    count = int(count)
    boxes = np.clip(boxes[:count], 0, 1)
    inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return np.concatenate([boxes, scores[:count, None], classes[:count, None] + 1], 1)[inside], count - inside.sum()


def check_raw(libdet, report, model, pictures, kind, precision):
    file = libdet.export(model, "tflite", f"raw-{kind}-{precision}", outputs=RAW, input=kind, precision=precision)
    extra = (2 * file.encodings, 2 * file.scores) if precision == FLOAT16 else (0, 0)
    for xnnpack in (True, False):
        engine = LiteRt(path_of(file), xnnpack, threads=2)
        worst = [0.0, 0.0]
        for picture in pictures:
            own = libdet.run(model, picture)
            encodings, scores = engine.run(input_of(kind, own, picture, engine))
            worst[0] = max(worst[0], common.difference(encodings, own.encodings))
            worst[1] = max(worst[1], common.difference(scores, own.scores))
        ok = worst[0] <= common.LIMIT + extra[0] and worst[1] <= common.LIMIT + extra[1]
        what = f"{'XNNPACK' if xnnpack else 'kernels'}, {'image' if kind == IMAGE else 'float'}, float{16 if precision else 32}"
        report.say(ok, f"{what}: encodings {worst[0]:.2g}, scores {worst[1]:.2g}")


def threshold_for(libdet, model, pictures, each=300):
    """Drawn weights tell no object from none: the best few hundred candidates are suppressed."""
    scores = np.sort(np.concatenate([libdet.run(model, picture).scores.ravel() for picture in pictures]))
    return float(scores[-min(each * len(pictures), len(scores))])


def check_detections(libdet, report, model, pictures, kind, threads, what):
    # All classes' hundred, so that none is left out because others have better scores.
    settings = {"score": threshold_for(libdet, model, pictures, 3000), "limit": 300}
    file = libdet.export(model, "tflite", f"detections-{kind}", outputs=DETECTIONS, input=kind, **settings)
    engine = LiteRt(path_of(file), threads=threads)
    wrong, count, classes = None, 0, set()
    for picture in pictures:
        own = libdet.run(model, picture, **settings)
        got, outside = rows_of(engine.run(input_of(kind, own, picture, engine)))
        count += len(got)
        classes |= set(got[:, 5])
        # Boxes outside the picture take places in a full list, which libdet gives to others.
        wanted = own.detections[: len(got)] if outside else own.detections
        wrong = wrong or common.detections_agree(got, wanted, picture)
    report.say(wrong is None, f"detections, {what}, {threads} threads: {wrong or f'{count} of {len(classes)} classes equal'}")


def iou(a, b):
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    shared = np.prod(np.maximum(high - low, 0))
    return shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)


def suppressed_across_classes(boxes, scores, score, limit, most=0.6):
    classes = scores.argmax(1)
    best = scores.max(1)
    kept = []
    for anchor in np.argsort(-best, kind="stable"):
        if best[anchor] > score and len(kept) < limit and all(iou(boxes[anchor], boxes[other]) <= most for other in kept):
            kept.append(anchor)
    return np.array([[*boxes[anchor], best[anchor], classes[anchor] + 1] for anchor in kept])


def anchors_of(engine):
    """[A, 4] centre and size, from the constant of that name."""
    return next(engine.interpreter.get_tensor(t["index"]) for t in engine.interpreter.get_tensor_details() if t["name"] == "anchors")


def decoded(encodings, anchors):
    """Boxes [A, 4] by the scales that the models have here."""
    centers = encodings[:, :2] / 10 * anchors[:, 2:] + anchors[:, :2]
    halves = np.exp(encodings[:, 2:] / 5) * anchors[:, 2:] / 2
    return np.concatenate([centers - halves, centers + halves], 1)


def check_fast(libdet, report, model, pictures):
    """The operator's suppression across classes, which libdet does not have, with any number of threads."""
    threshold = threshold_for(libdet, model, pictures)
    file = libdet.export(model, "tflite", "fast", score=threshold, fast_nms=1)
    engine = LiteRt(path_of(file), threads=2)
    anchors = anchors_of(engine)
    wrong = None
    for picture in pictures:
        own = libdet.run(model, picture)
        boxes, classes, scores, count = (output[0] for output in engine.run(own.input.reshape(engine.input["shape"])))
        wanted = suppressed_across_classes(decoded(own.encodings, anchors), own.scores, threshold, 100)
        got = np.concatenate([boxes, scores[:, None], classes[:, None] + 1], 1)[: int(count)]
        wrong = wrong or common.detections_agree(got, wanted, picture)
    report.say(wrong is None, f"detections, fast suppression across classes: {wrong or 'equal'}")


def tell_threads(libdet, report, model, pictures):
    """tensorflow issue 56058, for docs/deploy.md: what other numbers of threads do to suppression class by class."""
    path = path_of(libdet.export(model, "tflite", "threads", limit=300))
    own = libdet.run(model, pictures[0])
    classes = len(own.scores[0])
    found = {}
    for threads in (1, 2, classes):
        engine = LiteRt(path, threads=threads)
        got, _ = rows_of(engine.run(own.input.reshape(engine.input["shape"])))
        found[threads] = len(set(got[:, 5]))
    same = found[1] == found[classes]
    report.say(same, "classes found with N threads: " + ", ".join(f"{n}: {number}" for n, number in found.items()))


def check_reading(libdet, report, model):
    """The file by FlatBuffers' own reader and TFLite's schema, the label file by zipfile, the signature by LiteRT."""
    import tflite

    file = libdet.export(model, "tflite", "reading", score=0.25)
    data = open(path_of(file), "rb").read()
    read = tflite.Model.GetRootAsModel(data, 0)
    graph = read.Subgraphs(0)
    entries = {read.Metadata(i).Name().decode(): read.Buffers(read.Metadata(i).Buffer()).DataAsNumpy().tobytes() for i in range(read.MetadataLength())}
    versions = {(read.OperatorCodes(i).BuiltinCode(), read.OperatorCodes(i).Version()) for i in range(read.OperatorCodesLength())}
    names = [graph.Tensors(graph.Outputs(i)).Name().decode() for i in range(graph.OutputsLength())]
    ok = read.Version() == 3 and tflite.Model.ModelBufferHasIdentifier(data, 0) and entries["min_runtime_version"].rstrip(b"\0") == b"1.14.0"
    ok = ok and entries["TFLITE_METADATA"][4:8] == b"M001" and names[0] == "TFLite_Detection_PostProcess" and (tflite.BuiltinOperator.CUSTOM, 1) in versions
    aligned = all(read.Buffers(i).DataAsNumpy().__array_interface__["data"][0] % 4 == np.frombuffer(data, np.uint8).__array_interface__["data"][0] % 4 for i in range(1, read.BuffersLength()))
    report.say(ok and aligned, f"FlatBuffers' reader: {graph.OperatorsLength()} operators, {graph.TensorsLength()} tensors, outputs {', '.join(names)}")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        labels = archive.read("labelmap.txt").decode().splitlines()
        plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist()) and archive.testzip() is None
    report.say(plain and labels == ["Waschbär", "浣熊", '"raccoon"'], f"labelmap.txt: {labels}")
    runner = LiteRt(path_of(file)).interpreter.get_signature_runner("serving_default")
    found = runner(input=np.zeros((1, 320, 320, 3), np.float32))
    shapes = {name: found[name].shape for name in sorted(found)}
    report.say(shapes == {"output_0": (1,), "output_1": (1, 100), "output_2": (1, 100), "output_3": (1, 100, 4)}, f"serving_default: {shapes}")


# --- 8 bits ---


def levels_of(kind, own, engine):
    """The input of a file in 8 bits: the grey levels that libdet's engine makes of its own."""
    _, height, width, _ = engine.input["shape"]
    frame = own.input
    if frame.size != height * width * 3:  # pad_to_multiple, which is part of the file
        frame = frame.reshape(-(-height // 32) * 32, -(-width // 32) * 32, 3)[:height, :width]
    frame = np.ascontiguousarray(frame.reshape(engine.input["shape"]))
    if kind == FLOAT_NHWC:
        return frame
    levels = np.floor(frame * np.float32(127.5) + np.float32(128)).clip(0, 255)
    return levels.astype(np.uint8) if kind == UINT8 else (levels - 128).astype(np.int8)


def whole(values, output):
    """The numbers of 8 bits that libdet's real values are made of."""
    scale, zero = output["quantization"]
    return np.rint(values.astype(np.float64) / scale).astype(int) + zero


class Differences:
    """Of whole numbers: how many there are, how many are not equal, by how much at most."""

    def __init__(self):
        self.count = self.unequal = self.most = 0

    def add(self, got, wanted):
        apart = np.abs(got.astype(int).ravel() - wanted.ravel())
        self.count += apart.size
        self.unequal += int((apart > 0).sum())
        self.most = max(self.most, int(apart.max()))

    def ok(self):
        return self.unequal <= 0.001 * self.count and self.most <= 1

    def __str__(self):
        return f"{100 * (1 - self.unequal / self.count):.4f} % of {self.count} numbers equal, off by {self.most} at most"


def outputs_in_8_bits(libdet, model, file, pictures, kind, xnnpack=True):
    engine, found = LiteRt(path_of(file), xnnpack, threads=2), Differences()
    for picture in pictures:
        own = libdet.run(model, picture)
        encodings, logits = engine.run(levels_of(kind, own, engine))
        found.add(encodings, whole(own.encodings, engine.outputs[0]))
        found.add(logits, whole(own.logits, engine.outputs[1]))
    return found


def at_size(picture, model_input):
    """The upper left of a picture, so that nothing is resized and levels are whole."""
    height, width = model_input
    picture = picture[:height, :width]
    return np.ascontiguousarray(np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)), "wrap"))


def check_eight_bits(libdet, report, name, model, pictures, hostile=0):
    quantised = libdet.quantised(model, pictures[:6], hostile)
    for kind, what in ((UINT8, "uint8"), (INT8, "int8"), (FLOAT_NHWC, "float32")):
        file = libdet.export(quantised, "tflite", f"eight-{what}", outputs=RAW, input=kind)
        shape = LiteRt(path_of(file)).input["shape"]
        shown = [at_size(picture, shape[1:3]) for picture in pictures] if kind == FLOAT_NHWC else pictures
        found = outputs_in_8_bits(libdet, quantised, file, shown, kind)
        report.say(found.ok(), f"8 bits, {name}, {what}: {found}")
    if not hostile:
        file = libdet.export(quantised, "tflite", "eight-kernels", outputs=RAW)
        report.tell(f"8 bits, {name}, LiteRT's own kernels, which round twice: {outputs_in_8_bits(libdet, quantised, file, pictures, UINT8, False)}")
    return quantised


def check_detections_in_8_bits(libdet, report, name, model, pictures):
    # Many scores are equal in 8 bits: a threshold between two of them.
    settings = {"score": threshold_for(libdet, model, pictures, 300) * (1 - 1e-4), "limit": 100}
    file = libdet.export(model, "tflite", "eight-detections", outputs=DETECTIONS, **settings)
    engine = LiteRt(path_of(file), threads=1)
    wrong, count = None, 0
    for picture in pictures:
        own = libdet.run(model, picture, **settings)
        got, outside = rows_of(engine.run(levels_of(UINT8, own, engine)))
        count += len(got)
        wrong = wrong or common.detections_agree(got, own.detections[: len(got)] if outside else own.detections, picture)
    report.say(wrong is None and count > 0, f"8 bits, {name}, detections: {wrong or f'{count} equal'}")


def check_reading_in_8_bits(libdet, report, model):
    """By TFLite's schema: types, versions, scales; no operator before the post-processing is in float32."""
    import tflite

    data = open(path_of(libdet.export(model, "tflite", "eight-reading")), "rb").read()
    read = tflite.Model.GetRootAsModel(data, 0)
    graph = read.Subgraphs(0)
    kinds = [read.OperatorCodes(graph.Operators(i).OpcodeIndex()) for i in range(graph.OperatorsLength())]
    builtin = tflite.BuiltinOperator
    versions = {builtin.CONV_2D: 3, builtin.DEPTHWISE_CONV_2D: 3, builtin.ADD: 2, builtin.CONCATENATION: 2, builtin.RESIZE_NEAREST_NEIGHBOR: 2, builtin.STRIDED_SLICE: 2, builtin.RESHAPE: 1, builtin.QUANTIZE: 1, builtin.DEQUANTIZE: 2, builtin.LOGISTIC: 1, builtin.CUSTOM: 1}
    wrong = [kind.BuiltinCode() for kind in kinds if versions.get(kind.BuiltinCode()) != kind.Version()]
    behind = False
    for i, kind in enumerate(kinds):
        tensors = [graph.Tensors(graph.Operators(i).Outputs(0))]
        behind |= kind.BuiltinCode() == builtin.DEQUANTIZE
        if not behind and tensors[0].Type() != tflite.TensorType.INT8:
            wrong.append(f"{tensors[0].Name()} is not int8")
        if kind.BuiltinCode() in (builtin.CONV_2D, builtin.DEPTHWISE_CONV_2D):
            source, weights, bias = (graph.Tensors(graph.Operators(i).Inputs(k)) for k in range(3))
            dimension = weights.Quantization().QuantizedDimension()
            scales = weights.Quantization().ScaleAsNumpy()
            if dimension != (0 if kind.BuiltinCode() == builtin.CONV_2D else 3) or len(scales) != weights.Shape(dimension) or weights.Quantization().ZeroPointAsNumpy().any():
                wrong.append(f"{weights.Name()}: scales of dimension {dimension}")
            if bias.Type() != tflite.TensorType.INT32 or not (bias.Quantization().ScaleAsNumpy() == source.Quantization().Scale(0) * scales).all():
                wrong.append(f"{bias.Name()}: its scales are not those of the sum")
    report.say(not wrong, f"8 bits by FlatBuffers' reader: {wrong or f'{len(kinds)} operators'}")


def check_npu(libdet, report, model):
    """Arm's compiler for the Ethos-U: nothing but the post-processing is left to the processor."""
    folder = os.path.dirname(os.path.dirname(sys.executable))
    vela = shutil.which(os.environ.get("VELA", os.path.join(folder, "vela", "bin", "vela")))
    if vela is None:
        report.skip("vela is not installed (PyPI's ethos-u-vela)")
        return
    for outputs, what, most in ((RAW, "raw", 0), (DETECTIONS, "detections", 4)):
        file = libdet.export(model, "tflite", "eight-npu", outputs=outputs)
        done = subprocess.run([vela, "--accelerator-config", "ethos-u65-512", "--output-dir", libdet.path("npu"), path_of(file)], capture_output=True, text=True)
        found = re.findall(r"(CPU|NPU) operators += (\d+)", done.stdout)
        counts = {kind: int(count) for kind, count in found}
        ok = done.returncode == 0 and counts.get("CPU") == most and counts.get("NPU", 0) > 100
        report.say(ok, f"8 bits, vela, {what}: {counts.get('NPU')} operators on the NPU, {counts.get('CPU')} on the CPU{'' if ok else done.stderr[-300:]}")


TASK = """
import sys, numpy as np
from tflite_support.task import vision
found = vision.ObjectDetector.create_from_file(sys.argv[1]).detect(vision.TensorImage.create_from_array(np.load(sys.argv[2])))
for d in found.detections:
    box, best = d.bounding_box, d.categories[0]
    print(box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width, best.score, best.category_name)
"""
MEDIAPIPE = """
import sys, numpy as np, mediapipe
from mediapipe.tasks.python import BaseOptions, vision
options = vision.ObjectDetectorOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]))
found = vision.ObjectDetector.create_from_options(options).detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(sys.argv[2])))
for d in found.detections:
    box, best = d.bounding_box, d.categories[0]
    print(box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width, best.score, best.category_name)
"""


def check_library(libdet, report, name, module, program, model, picture, outputs):
    """A library that reads the metadata; boxes are whole pixels there. Pictures of the network's size: no other resize."""
    python = os.path.join(os.environ.get("TASK_ENGINES", os.path.join(os.path.dirname(os.path.dirname(sys.executable)), "task")), "bin", "python")
    if not os.path.exists(python) or subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode:
        report.skip(f"{name} is not installed")
        return
    threshold = threshold_for(libdet, model, [picture])
    file = libdet.export(model, "tflite", "library", outputs=outputs, score=threshold)
    np.save(libdet.path("picture.npy"), picture)
    done = subprocess.run([python, "-c", program, path_of(file), libdet.path("picture.npy")], capture_output=True, text=True)
    own = libdet.run(model, picture, score=threshold)
    wanted = own.detections
    if outputs == RAW:  # MediaPipe suppresses by a threshold of its own: what it finds is among the candidates
        anchors = anchors_of(LiteRt(path_of(libdet.export(model, "tflite", "anchors"))))
        places, classes = np.nonzero(own.scores > threshold / 2)
        wanted = np.concatenate([decoded(own.encodings, anchors)[places], own.scores[places, classes][:, None], classes[:, None] + 1], 1)
        size = wanted[:, 2:4] - wanted[:, :2]
        wanted[:, :2] = np.clip(wanted[:, :2], 0, 1)  # it moves boxes into the picture
        wanted[:, 2:4] = np.clip(wanted[:, :2] + size, 0, 1)
    ids = {"Waschbär": 1, "浣熊": 2, '"raccoon"': 3}
    rows = [line.split(maxsplit=5) for line in done.stdout.splitlines()]
    got = np.array([[float(value) for value in row[:5]] + [ids.get(row[5], 0)] for row in rows]).reshape(-1, 6)
    scale = np.array([picture.shape[0], picture.shape[1]] * 2)
    far = [row for row in got if not ((wanted[:, 5] == row[5]) & (np.abs(wanted[:, 4] - row[4]) < 1e-3) & (np.abs(wanted[:, :4] * scale - np.clip(row[:4], 0, scale)).max(1) <= 2)).any()]
    ok = len(got) > 0 and not far
    report.say(ok, f"{name}, {'raw' if outputs == RAW else 'detections'}: {len(got)} found, {len(far)} that libdet has not{'' if ok else done.stderr[-300:]}")


def check(options):
    libdet = common.Libdet(options.build)
    report = common.Report()
    pictures = common.pictures(options.pictures)
    model = libdet.model(320, 3)
    for kind in (FLOAT_NHWC, IMAGE):
        for precision in (FLOAT32, FLOAT16):
            check_raw(libdet, report, model, pictures, kind, precision)
    check_detections(libdet, report, model, pictures, FLOAT_NHWC, 1, "3 classes")
    check_detections(libdet, report, model, pictures, IMAGE, 3, "3 classes, image")
    check_detections(libdet, report, libdet.model(320, 1), pictures, FLOAT_NHWC, 4, "1 class")
    check_detections(libdet, report, os.path.abspath("data/vehicles.det"), pictures, FLOAT_NHWC, 1, "data/vehicles.det")
    check_fast(libdet, report, model, pictures[:8])
    tell_threads(libdet, report, model, pictures)
    check_reading(libdet, report, model)
    vehicles = check_eight_bits(libdet, report, "data/vehicles.det", os.path.abspath("data/vehicles.det"), pictures)
    check_detections_in_8_bits(libdet, report, "data/vehicles.det", vehicles, pictures)
    check_reading_in_8_bits(libdet, report, vehicles)
    check_npu(libdet, report, vehicles)
    check_eight_bits(libdet, report, "1 class", libdet.model(320, 1), pictures[:6])
    check_eight_bits(libdet, report, "90 classes", libdet.model(256, 90), pictures[:4])
    check_eight_bits(libdet, report, "scales and zeros at their ends", libdet.model(288, 2), pictures[:6], hostile=7)
    square = np.ascontiguousarray(common.drawn_picture(3)[:320, :320])
    square = np.pad(square, ((0, 320 - square.shape[0]), (0, 320 - square.shape[1]), (0, 0)))
    check_library(libdet, report, "Task Library", "tflite_support.task.vision", TASK, model, square, DETECTIONS)
    check_library(libdet, report, "MediaPipe", "mediapipe", MEDIAPIPE, model, square, DETECTIONS)
    check_library(libdet, report, "MediaPipe", "mediapipe", MEDIAPIPE, model, square, RAW)
    report.end()


def check_specs(options):
    """Random specs: the writer's proof of some, and LiteRT allocates all."""
    libdet = common.Libdet(options.build)
    report = common.Report()
    begun = time.time()
    for seed in range(options.first, options.first + options.specs):
        rng = np.random.default_rng(seed)
        settings = {"outputs": int(rng.choice([RAW, DETECTIONS])), "input": int(rng.choice([IMAGE, FLOAT_NHWC])), "precision": int(rng.integers(0, 2)), "verify": int(seed % 10 == 0)}
        settings["batch"] = int(rng.integers(1, 3)) if settings["outputs"] == RAW else 1
        try:
            model = libdet.random(seed)
            try:
                file = libdet.export(model, "tflite", "spec", **settings)
            except RuntimeError as error:
                if "keep_aspect_ratio_resizer" not in str(error):
                    raise
                settings["input"] = FLOAT_NHWC
                file = libdet.export(model, "tflite", "spec", **settings)
            LiteRt(path_of(file), xnnpack=seed % 2 == 0)
            os.remove(model)
        except Exception as error:  # whatever an engine complains with
            report.say(False, f"spec {seed} {settings}: {error}")
    check_specs_in_8_bits(options, libdet, report)
    report.say(report.failures == 0, f"{options.specs} specs from {options.first} in {time.time() - begun:.0f} s, {report.failures} complaints")
    report.end()


def check_specs_in_8_bits(options, libdet, report):
    """The same in 8 bits, every other one with scales and zeros at their ends: LiteRT gives libdet's integers."""
    begun, found = time.time(), Differences()
    pictures = common.pictures(3)
    for seed in range(options.first, options.first + options.specs):
        hostile = seed if seed % 2 else 0
        try:
            model = libdet.random(seed)
            quantised = libdet.quantised(model, pictures, hostile)
            file = libdet.export(quantised, "tflite", "spec", outputs=RAW, input=UINT8 if seed % 3 else INT8)
            one = outputs_in_8_bits(libdet, quantised, file, pictures, UINT8 if seed % 3 else INT8)
            if not one.ok():
                raise RuntimeError(str(one))
            os.remove(model)
            os.remove(quantised)
        except Exception as error:  # whatever an engine complains with
            report.say(False, f"8 bits, spec {seed}, hostile {hostile}: {error}")
            continue
        found.count, found.unequal, found.most = found.count + one.count, found.unequal + one.unequal, max(found.most, one.most)
    report.say(found.count > 0, f"{options.specs} specs in 8 bits in {time.time() - begun:.0f} s: {found if found.count else 'none'}")


def average_precision(libdet, build):
    """{what: AP} of the trained model of the shared folder on its test records, by det-eval and through LiteRT."""
    config, records = common.shared("goldens", "trained_raccoon", "pipeline.config"), common.shared("data", "raccoon", "test.tfrecord")
    if config is None or records is None:
        return {}

    def tool(name, *words):
        done = subprocess.run([os.path.join(build, "bin", name), *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def precision(path):
        tree = json.load(open(path))
        return tree.get("coco", tree)["stats"]["AP"]

    folder = libdet.path("raccoon")
    checkpoint = os.path.join(os.path.dirname(config), "ckpt-2")
    tool("det-export", "--pipeline_config_path", config, "--checkpoint", checkpoint, "--output_directory", folder)
    model = os.path.join(folder, "model.det")
    tool("det-eval", "--pipeline_config_path", config, "--checkpoint", model, "--report_dir", folder, "--json", libdet.path("own.json"))
    truth = os.path.join(folder, "ground_truth.json")
    found = {"det-eval": precision(libdet.path("own.json"))}
    engines = {f"LiteRT, float{16 if kind else 32}": LiteRt(path_of(libdet.export(model, "tflite", f"raccoon-{kind}", precision=kind))) for kind in (FLOAT32, FLOAT16)}
    rows = {what: [] for what in ("libdet, of the same pixels", *engines)}
    for image, record in zip(json.load(open(truth))["images"], common.records(records)):
        picture = common.decoded(common.example(record)["image/encoded"][0])  # not to the last bit as libdet decodes it
        own = libdet.run(model, picture)
        scale = np.array(picture.shape[:2] * 2)
        for what, list_of in rows.items():
            got = rows_of(engines[what].run(own.input.reshape(engines[what].input["shape"])))[0] if what in engines else own.detections
            for box, score, label in zip(got[:, :4] * scale, got[:, 4], got[:, 5]):
                box = [float(value) for value in (box[1], box[0], box[3] - box[1], box[2] - box[0])]
                list_of.append({"image_id": image["id"], "category_id": int(label), "bbox": box, "score": float(score)})
    for what, list_of in rows.items():
        json.dump(list_of, open(libdet.path("detections.json"), "w"))
        tool("det-eval", "--ground_truth", truth, "--detections", libdet.path("detections.json"), "--json", libdet.path("theirs.json"))
        found[what] = precision(libdet.path("theirs.json"))
    return found


def matrix(options):
    """The table of docs/deploy_tflite.md."""
    libdet = common.Libdet(options.build)
    pictures = common.pictures(options.pictures)
    print("| size | classes | engine | encodings | scores | file, MB | written and proved, s | a picture, ms |\n|---|---|---|---|---|---|---|---|")
    for size in (320, 640):
        for classes in (1, 3, 90):
            model = libdet.model(size, classes)
            own = [libdet.run(model, picture) for picture in pictures]
            for precision in (FLOAT32, FLOAT16):
                file = libdet.export(model, "tflite", "matrix", outputs=RAW, precision=precision)
                for xnnpack in (True, False):
                    engine = LiteRt(path_of(file), xnnpack)
                    worst, spent = [0.0, 0.0], []
                    for outputs in own:
                        begun = time.time()
                        encodings, scores = engine.run(outputs.input.reshape(engine.input["shape"]))
                        spent.append(time.time() - begun)
                        worst[0] = max(worst[0], common.difference(encodings, outputs.encodings))
                        worst[1] = max(worst[1], common.difference(scores, outputs.scores))
                    name = f"LiteRT, {'XNNPACK' if xnnpack else 'own kernels'}, float{16 if precision else 32}"
                    print(f"| {size} | {classes} | {name} | {worst[0]:.1e} | {worst[1]:.1e} | {file.bytes / 1e6:.1f} | {file.seconds:.2f} | {1000 * min(spent):.0f} |", flush=True)
    for what, value in average_precision(libdet, options.build).items():
        print(f"AP of the trained model, {what}: {value:.6f}")


if __name__ == "__main__":
    chosen = common.arguments(__doc__)
    if chosen.specs:
        check_specs(chosen)
    elif chosen.matrix:
        matrix(chosen)
    else:
        check(chosen)
