"""ONNX files in ONNX Runtime, OpenVINO and OpenCV against libdet."""
import json
import os
import time

import numpy as np
import onnx

import common
from common import DECODED, DETECTIONS, EFFICIENT_NMS, FLOAT16, FLOAT32, FLOAT_NCHW, FLOAT_NHWC, IMAGE, RAW


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, path):
        import onnxruntime

        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, pixels):
        return dict(zip(self.names, self.session.run(None, {"input_tensor": pixels})))


class OpenVino:
    name = "OpenVINO"

    def __init__(self, path):
        import openvino

        self.model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(self, pixels):
        found = self.model(pixels)
        return {name: found[output] for output in self.model.outputs for name in output.get_names()}


class OpenCv:
    """Takes float NCHW; has no NonMaxSuppression of ONNX."""

    name = "OpenCV DNN"

    def __init__(self, path):
        import cv2

        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self.net = cv2.dnn.readNetFromONNX(path)
        self.names = self.net.getUnconnectedOutLayersNames()

    def run(self, pixels):
        self.net.setInput(pixels)
        return dict(zip(self.names, self.net.forward(self.names)))


def engines(kinds):
    for kind, module in kinds:
        try:
            __import__(module)
            yield kind
        except ImportError:
            print(f"  skipped: {kind.name} is not installed")


ALL = [(OnnxRuntime, "onnxruntime"), (OpenVino, "openvino"), (OpenCv, "cv2")]


def check_file(path, plugin=False):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=not plugin)
    if not plugin:
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    return model


def decode(model_path, encodings, anchors):
    """Boxes of encodings by the numbers that the file says."""
    scales = json.loads({p.key: p.value for p in onnx.load(model_path).metadata_props}["anchors"])["box_coder_scales"]
    size = anchors[:, 2:] - anchors[:, :2]
    center = anchors[:, :2] + size / 2 + encodings[:, :2] / scales[:2] * size
    half = np.exp(encodings[:, 2:] / scales[2:]) * size / 2
    return np.concatenate([center - half, center + half], 1)


def input_of(kind, own, picture, shape):
    height, width = shape
    frame = own.input.reshape(height, width, 3)
    if kind == IMAGE:
        return picture[None]
    return frame[None] if kind == FLOAT_NHWC else np.ascontiguousarray(frame.transpose(2, 0, 1)[None])


def rows_of(outputs, image=0):
    count = int(np.ravel(outputs["num_detections"])[image])
    columns = (outputs["detection_boxes"][image], outputs["detection_scores"][image][:, None], outputs["detection_classes"][image][:, None])
    return np.concatenate(columns, 1)[:count]


def network_size(exported):
    model = onnx.load(os.path.join(exported.folder, exported.name + ".onnx"), load_external_data=False)
    said = json.loads({p.key: p.value for p in model.metadata_props}["input"])
    return said["height"], said["width"]


def check_raw(libdet, report, model, pictures, outputs, kind, precision, opset=13):
    names = {IMAGE: "image", FLOAT_NHWC: "NHWC", FLOAT_NCHW: "NCHW"}
    file = libdet.export(model, "onnx", f"raw-{outputs}-{kind}-{precision}-{opset}", outputs=outputs, input=kind, precision=precision, onnx_opset=opset)
    path = os.path.join(file.folder, file.name + ".onnx")
    said = check_file(path).opset_import[0].version
    shape = network_size(file)
    extra = (2 * file.encodings, 2 * file.scores) if precision == FLOAT16 else (0, 0)
    kinds = ALL if kind == FLOAT_NCHW else ALL[:2]
    for engine_kind in engines(kinds):
        engine = engine_kind(path)
        worst = [0.0, 0.0]
        for picture in pictures:
            own = libdet.run(model, picture)
            found = engine.run(input_of(kind, own, picture, shape))
            if outputs == RAW:
                worst[0] = max(worst[0], common.difference(found["box_encodings"], own.encodings))
            else:
                anchors = libdet.anchors(model)
                worst[0] = max(worst[0], common.difference(found["boxes"][0], decode(path, own.encodings, anchors)))
            worst[1] = max(worst[1], common.difference(found["scores"], own.scores))
        ok = worst[0] <= common.LIMIT + extra[0] and worst[1] <= common.LIMIT + extra[1] and said == opset
        what = "encodings" if outputs == RAW else "boxes"
        report.say(ok, f"{engine.name}, {names[kind]}, float{16 if precision else 32}, opset {said}: {what} {worst[0]:.2g}, scores {worst[1]:.2g}")


def check_detections(libdet, report, model, pictures, batch):
    # Drawn weights tell no object from none: the best few hundred candidates are suppressed, those above a gap, so that
    # rounding moves none across.
    scores = np.sort(np.concatenate([libdet.run(model, picture).scores.ravel() for picture in pictures]))[::-1]
    around = scores[200 * len(pictures) : 400 * len(pictures)]
    place = int(np.argmax(around[:-1] - around[1:]))
    threshold = float((around[place] + around[place + 1]) / 2)
    file = libdet.export(model, "onnx", f"nms-{batch}", outputs=DETECTIONS, batch=batch, score=threshold)
    path = os.path.join(file.folder, file.name + ".onnx")
    check_file(path)
    for engine_kind in engines(ALL[:2]):
        engine = engine_kind(path)
        wrong = None
        count = 0
        for picture in pictures:
            images = np.repeat(picture[None], batch or 2, 0)
            if len(images) > 1:
                images[0] = 0  # another one: places must not be confused
            found = engine.run(images)
            own = libdet.run(model, picture, score=threshold)
            count += len(own.detections)
            wrong = wrong or common.detections_agree(rows_of(found, len(images) - 1), own.detections, picture)
        report.say(wrong is None, f"{engine.name}, detections, batch {batch or 'free'}: {wrong or f'{count} equal'}")


def check(options):
    libdet = Engine(options.build)
    report = common.Report()
    pictures = common.pictures(options.pictures)
    model = libdet.model(320, 3)
    for kind in (IMAGE, FLOAT_NHWC, FLOAT_NCHW):
        for precision in (FLOAT32, FLOAT16):
            check_raw(libdet, report, model, pictures, RAW, kind, precision)
    check_raw(libdet, report, model, pictures, DECODED, FLOAT_NCHW, FLOAT32)
    # What OpenCV 4.5.4 to 4.6 reads; with Debian's 4.6 check_deploy.py runs it.
    for outputs in (RAW, DECODED):
        check_raw(libdet, report, model, pictures[:5], outputs, FLOAT_NCHW, FLOAT32, opset=10)
    for batch in (1, 3, 0):
        check_detections(libdet, report, model, pictures[:8], batch)
    check_detections(libdet, report, os.path.abspath("data/vehicles.det"), pictures, 1)
    keep = libdet.random(20)
    for candidate in range(20, 40):
        keep = libdet.random(candidate)
        if "keep_aspect" in metadata(libdet.export(keep, "onnx", "keep"))["input"]:
            break
    check_detections(libdet, report, keep, pictures[:8], 1)
    plugin = libdet.export(model, "onnx", "plugin", outputs=EFFICIENT_NMS)
    check_file(os.path.join(plugin.folder, "plugin.onnx"), plugin=True)
    report.say(True, "efficient_nms: onnx.checker; TensorRT is not here, libdet's proof ran it")
    check_metadata(libdet, report, model)
    report.end()


def metadata(exported):
    model = onnx.load(os.path.join(exported.folder, exported.name + ".onnx"))
    return {entry.key: entry.value for entry in model.metadata_props}


def check_metadata(libdet, report, model):
    said = metadata(libdet.export(model, "onnx", "said"))
    labels = json.loads(said["labels"])
    ok = labels["1"] == "Waschbär" and labels["2"] == "浣熊" and labels["3"] == '"raccoon"' and said["step"] == "1234"
    report.say(ok, f"metadata: {', '.join(sorted(said))}")


class Engine(common.Libdet):
    def anchors(self, model):
        path = self.path("anchors.onnx")
        if not os.path.exists(path):
            self.export(model, "onnx", "anchors", outputs=RAW)
        file = onnx.load(path)
        return onnx.numpy_helper.to_array(next(t for t in file.graph.initializer if t.name == "anchors"))


def check_specs(options):
    """Random specs: the writer's proof, onnx.checker with strict shape inference, and ONNX Runtime loads it."""
    import onnxruntime

    libdet = Engine(options.build)
    report = common.Report()
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    quiet.intra_op_num_threads = 1
    begun = time.time()
    for seed in range(options.first, options.first + options.specs):
        rng = np.random.default_rng(seed)
        settings = {
            "outputs": int(rng.integers(1, 5)),
            "input": int(rng.integers(1, 4)),
            "precision": int(rng.integers(0, 2)),
            "batch": int(rng.choice([0, 1, 1, 1, 2])),
            "verify": int(seed % 10 == 0),
        }
        if settings["outputs"] in (RAW, DECODED) and settings["input"] != IMAGE:
            settings["onnx_opset"] = int(rng.choice([10, 13]))
        try:
            model = libdet.random(seed)
            file = libdet.export(model, "onnx", "spec", **settings)
            path = os.path.join(file.folder, "spec.onnx")
            plugin = settings["outputs"] == EFFICIENT_NMS
            check_file(path, plugin)
            if not plugin:
                onnxruntime.InferenceSession(path, quiet, providers=["CPUExecutionProvider"])
            os.remove(model)
            if seed % 50 == 49:
                print(f"  {seed + 1}", flush=True)
        except Exception as error:  # whatever an engine complains with
            report.say(False, f"spec {seed} {settings}: {error}")
    report.say(report.failures == 0, f"{options.specs} specs from {options.first} in {time.time() - begun:.0f} s, {report.failures} complaints")
    report.end()


def matrix(options):
    """The table of docs/deploy.md."""
    libdet = Engine(options.build)
    pictures = common.pictures(options.pictures)
    print("| size | classes | engine | encodings | scores | file, MB | written and proved, s |\n|---|---|---|---|---|---|---|")
    for size in (320, 640):
        for classes in (1, 3, 90):
            model = libdet.model(size, classes)
            own = [libdet.run(model, picture) for picture in pictures]
            for precision in (FLOAT32, FLOAT16):
                file = libdet.export(model, "onnx", "matrix", outputs=RAW, input=FLOAT_NCHW, precision=precision)
                path = os.path.join(file.folder, "matrix.onnx")
                for kind in engines(ALL):
                    engine = kind(path)
                    worst = [0.0, 0.0]
                    for picture, outputs in zip(pictures, own):
                        found = engine.run(input_of(FLOAT_NCHW, outputs, picture, (size, size)))
                        worst[0] = max(worst[0], common.difference(found["box_encodings"], outputs.encodings))
                        worst[1] = max(worst[1], common.difference(found["scores"], outputs.scores))
                    print(f"| {size} | {classes} | {engine.name}, float{16 if precision else 32} | {worst[0]:.1e} | {worst[1]:.1e} | {file.bytes / 1e6:.1f} | {file.seconds:.2f} |", flush=True)
    if common.shared("goldens", "trained_raccoon") is None:
        return
    raccoons = common.Raccoons(libdet, options.build)
    print(f"\n| trained_raccoon by | AP | AP50 |\n|---|---|---|\n| det-eval | {raccoons.own[0]:.3f} | {raccoons.own[1]:.3f} |")
    same = raccoons.by(lambda picture: libdet.run(raccoons.model, picture).detections.tolist())
    print(f"| libdet on OpenCV's pixels | {same[0]:.3f} | {same[1]:.3f} |")
    for precision in (FLOAT32, FLOAT16):
        file = libdet.export(raccoons.model, "onnx", "raccoons", outputs=DETECTIONS, precision=precision)
        for kind in engines(ALL[:2]):
            engine = kind(os.path.join(file.folder, "raccoons.onnx"))
            figures = raccoons.by(lambda picture, engine=engine: rows_of(engine.run(picture[None])))
            print(f"| {engine.name}, float{16 if precision else 32} | {figures[0]:.3f} | {figures[1]:.3f} |", flush=True)


if __name__ == "__main__":
    chosen = common.arguments(__doc__)
    if chosen.specs:
        check_specs(chosen)
    elif chosen.matrix:
        matrix(chosen)
    else:
        check(chosen)
