"""ONNX files of models in 8 bits, in ONNX Runtime and OpenVINO: that these make whole numbers of every layer that is in 8 bits, that
each layer gives the numbers of docs/quantisation.md's arithmetic, computed here anew, and that the detections are libdet's."""
import json
import os
import subprocess

import numpy as np
import onnx
from onnx import numpy_helper

import common
from check_onnx import OnnxRuntime, OpenVino, check_file, engines, rows_of
from common import DETECTIONS, FLOAT_NHWC, RAW

# Of a layer's results, given the same inputs; none is off by more than 1. A sum of two bytes has 65,536 results, of which a few lie so
# near to a half that float32 and fixed point part there; where many pixels have these bytes they are many.
EQUAL = {"Conv": 0.9999, "Add": 0.99}
# What two noises of rounding may make of a detection: of its score, and of its corners in shares of its sides.
SCORE = 0.05
CORNER = 0.08


class Network:
    """The file as data."""

    def __init__(self, path):
        self.model = check_file(path)
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer}
        self.maker = {name: node for node in self.model.graph.node for name in node.output}
        self.rounded = [node for node in self.model.graph.node if node.op_type == "QuantizeLinear"]

    def in_8_bits(self, kind):
        return [node for node in self.rounded if node.input[0] in self.maker and self.maker[node.input[0]].op_type == kind]

    def source(self, name):
        """The 8-bit value behind a DequantizeLinear, with its scale and zero; None where there is none."""
        node = self.maker.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return None
        zero = self.constants[node.input[2]] if len(node.input) > 2 else 0
        return node.input[0], self.constants[node.input[1]], zero


def factor_of(value):
    """mantissa and shift of QuantizeMultiplier()."""
    fraction, exponent = np.frexp(np.float64(value))
    mantissa = int(np.floor(float(fraction) * 2**31 + 0.5))
    return (mantissa // 2, 30 - int(exponent)) if mantissa == 2**31 else (mantissa, 31 - int(exponent))


def rescale(values, factor):
    mantissa, shift = factor
    return (values.astype(np.int64) * mantissa + (1 << (shift - 1))) >> shift


def convolution(network, node, conv, values):
    """One convolution in whole numbers, of what the engine gave it."""
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in conv.attribute}
    name, scale, zero = network.source(conv.input[0])
    weights, steps, _ = network.source(conv.input[1])
    weights = network.constants[weights].astype(np.int64)
    top, left, bottom, right = attributes["pads"]
    stride = attributes["strides"][0]
    x = np.pad(values[name].astype(np.int64) - int(zero), ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = ((x.shape[axis] - weights.shape[axis]) // stride + 1 for axis in (2, 3))
    total = np.zeros((x.shape[0], weights.shape[0], height, width), np.int64)
    for row in range(weights.shape[2]):
        for column in range(weights.shape[3]):
            part = x[:, :, row : row + stride * (height - 1) + 1 : stride, column : column + stride * (width - 1) + 1 : stride]
            tap = weights[:, :, row, column]
            if attributes["group"] == 1:  # exact in doubles
                total += np.einsum("oc,nchw->nohw", tap.astype(float), part.astype(float), optimize=True).astype(np.int64)
            else:
                total += part * tap[:, 0][None, :, None, None]
    if len(conv.input) > 2:
        total += network.constants[network.source(conv.input[2])[0]].astype(np.int64)[None, :, None, None]
    out = np.float64(network.constants[node.input[1]])
    for channel, step in enumerate(steps):
        total[:, channel] = rescale(total[:, channel], factor_of(np.float64(scale) * np.float64(step) / out))
    return total


def addition(network, node, add, values):
    """kernels/add.cc of TFLite."""
    sources = [network.source(name) for name in add.input]
    twice = 2 * max(float(scale) for _, scale, _ in sources)
    total = 0
    for name, scale, zero in sources:
        lifted = (values[name].astype(np.int64) - int(zero)) << 20
        total = total + rescale(lifted, factor_of(float(scale) / twice))
    return rescale(total, factor_of(twice / ((1 << 20) * np.float64(network.constants[node.input[1]]))))


def check_layers(network, report, name, pixels):
    """Each layer by ONNX Runtime and by the arithmetic above, of the same inputs."""
    import onnxruntime

    model = onnx.ModelProto()
    model.CopyFrom(network.model)
    for node in network.rounded:
        model.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UINT8, None))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [node.output[0] for node in network.rounded]
    values = dict(zip(names, session.run(names, {"input_tensor": pixels})))
    count = equal = worst = 0
    least, ok = {}, True
    for kind, compute in (("Conv", convolution), ("Add", addition)):
        for node in network.in_8_bits(kind):
            maker = network.maker[node.input[0]]
            if any(network.source(part) is None for part in maker.input[:2]):
                continue  # the pixels' half level
            own = compute(network, node, maker, values) + int(network.constants[node.input[2]])
            apart = np.abs(np.clip(own, 0, 255) - values[node.output[0]].astype(np.int64))
            share = float(np.mean(apart == 0))
            least[kind] = min(least.get(kind, 1.0), share)
            worst = max(worst, int(apart.max()))
            ok &= np.count_nonzero(apart) <= 2 + (1 - EQUAL[kind]) * apart.size  # of small maps one is many
            count += 1
            equal += share
    said = f"{100 * equal / count:.4f} % of the results equal, in the worst convolution {100 * least['Conv']:.4f} %, in the worst addition {100 * least['Add']:.4f} %"
    report.say(ok and count > 60 and worst <= 1, f"{name}: {count} layers by ONNX Runtime: {said}, none off by more than {worst}")


def check_fused(network, libdet, report, name, path):
    """Nothing that is in 8 bits is computed in float32."""
    import onnxruntime

    convolutions, others = len(network.in_8_bits("Conv")), len(network.in_8_bits("Add")) - 1
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    settings.optimized_model_filepath = libdet.path("optimised.onnx")
    onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(settings.optimized_model_filepath).graph.node]
    fused = kinds.count("QLinearConv"), kinds.count("QLinearAdd")
    report.say(fused == (convolutions, others), f"{name}: ONNX Runtime has {fused[0]} of {convolutions} convolutions and {fused[1]} of {others} additions in 8 bits")
    for kind in engines([(OpenVino, "openvino")]):
        operations = [node.get_rt_info() for node in kind(path).model.get_runtime_model().get_ordered_ops()]
        bytes_ = [info for info in operations if info["layerType"].value == "Convolution" and info["runtimePrecision"].value in ("u8", "i8")]
        report.say(len(bytes_) == convolutions, f"{name}: OpenVINO has {len(bytes_)} of {convolutions} convolutions in 8 bits")


def same_object(got, own):
    sides = np.array([own[2] - own[0], own[3] - own[1]] * 2)
    return got[5] == own[5] and abs(got[4] - own[4]) <= SCORE and (np.abs(got[:4] - own[:4]) <= CORNER * sides).all()


def missing(some, others, threshold):
    """Those of `some`, clear of the threshold, that are not among `others`."""
    return [row for row in some if row[4] >= threshold + SCORE and not any(same_object(other, row) for other in others)]


def check_detections(libdet, report, name, model, pictures, threshold):
    file = libdet.export(model, "onnx", "nms", outputs=DETECTIONS, score=threshold)
    path = os.path.join(file.folder, "nms.onnx")
    for kind in engines([(OnnxRuntime, "onnxruntime"), (OpenVino, "openvino")]):
        engine = kind(path)
        count, lost, scores, corners = 0, [], 0.0, 0.0
        for picture in pictures:
            got = rows_of(engine.run(picture[None]))
            own = libdet.run(model, picture, score=threshold).detections
            lost += missing(got, own, threshold) + missing(own, got, threshold)
            count += sum(row[4] >= threshold + SCORE for row in own)
            for row in own:
                for other in (other for other in got if same_object(other, row)):
                    scores = max(scores, abs(other[4] - row[4]))
                    corners = max(corners, float((np.abs(other[:4] - row[:4]) / np.array([row[2] - row[0], row[3] - row[1]] * 2)).max()))
        report.say(not lost and count > 0, f"{name}: {engine.name}: {f'{len(lost)} detections differ, the first: {lost[0]}' if lost else f'{count} detections the same'}, scores within {scores:.3f}, corners within {corners:.3f} of the sides")


def check_outputs(libdet, report, name, model, pictures):
    """How much two noises of rounding make of the outputs: told, and within what libdet's proof allows."""
    import onnxruntime

    file = libdet.export(model, "onnx", "outputs", outputs=RAW, input=FLOAT_NHWC)
    path = os.path.join(file.folder, "outputs.onnx")
    said = json.loads({p.key: p.value for p in onnx.load(path).metadata_props}["input"])
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    network = Network(path)
    worst, shares = 0.0, []
    for picture in pictures:
        own = libdet.run(model, picture)
        pixels = own.input.reshape(1, said["height"], said["width"], 3)
        encodings, scores = session.run(["box_encodings", "scores"], {"input_tensor": pixels})
        worst = max(worst, common.difference(scores[0], own.scores))
        scale = np.float64(1e-9)
        last = [network.source(n.input[0]) for n in network.model.graph.node if n.op_type == "Transpose"]
        if last[-1] is not None:
            scale = max(float(found[1]) for found in last if found is not None)
            shares.append(np.mean(np.abs(encodings[0] - own.encodings) < scale * 1.5))
    said = f"; {100 * float(np.mean(shares)):.1f} % of the box encodings at most one step apart" if shares else ""
    report.say(worst <= SCORE, f"{name}: ONNX Runtime's scores within {worst:.3f}{said}")
    return network, path, pixels


def quantised(options, libdet, name, words, calibration, images, only):
    """A model in 8 bits by det-export."""
    folder = libdet.path(name)
    program = os.path.abspath(os.path.join(options.build, "bin", "det-export"))
    command = [program, *words, "--output_directory", folder, "--precision", "int8", "--calibration", calibration, "--calibration_images", str(images)]
    subprocess.run(command + (["--int8_only"] if only else []), check=True, capture_output=True)
    return os.path.join(folder, "model.det")


def scenes(options, libdet):
    program = os.path.abspath(os.path.join(options.build, "bin", "det-demo-data"))
    subprocess.run([program, libdet.path("scenes"), "--train", "1", "--test", "40", "--seed", "5"], check=True, capture_output=True)
    return libdet.path("scenes/images/test")


def check_model(libdet, report, name, model, pictures, threshold):
    network, path, pixels = check_outputs(libdet, report, name, model, pictures)
    check_fused(network, libdet, report, name, path)
    check_layers(network, report, name, pixels)
    if threshold is not None:
        check_detections(libdet, report, name, model, pictures, threshold)


def check(options):
    import cv2

    libdet = common.Libdet(options.build)
    report = common.Report()
    folder = scenes(options, libdet)
    drawn = [cv2.imread(os.path.join(folder, name))[:, :, ::-1].copy() for name in sorted(os.listdir(folder))[:10]]
    for only in (False, True):
        model = quantised(options, libdet, f"vehicles-{only}", ["--checkpoint", os.path.abspath("data/vehicles.det")], folder, 40, only)
        check_model(libdet, report, "vehicles, all in 8 bits" if only else "vehicles", model, drawn, 0.5)
    golden = common.shared("goldens", "trained_raccoon")
    if golden is None:
        report.skip("no trained_raccoon here")
    else:
        records = common.shared("data", "raccoon", "train.tfrecord")
        words = ["--pipeline_config_path", os.path.join(golden, "pipeline.config"), "--checkpoint", os.path.join(golden, "ckpt-2"), "--recalibrate", records]
        model = quantised(options, libdet, "raccoons", words, records, 60, False)
        check_model(libdet, report, "raccoons", model, common.pictures(options.pictures), 0.5)
    for seed in (1, 2, 3):  # drawn weights tell nothing from nothing: no detections
        model = quantised(options, libdet, f"random-{seed}", ["--checkpoint", libdet.random(seed)], folder, 10, seed == 1)
        check_model(libdet, report, f"spec {seed}", model, drawn[:2], None)
    report.end()


def check_specs(options):
    """Random specs: proved by the writer, taken by onnx.checker, loaded and run by ONNX Runtime, each layer as the arithmetic says."""
    libdet = common.Libdet(options.build)
    report = common.Report()
    folder = scenes(options, libdet)
    import cv2

    picture = cv2.imread(os.path.join(folder, sorted(os.listdir(folder))[0]))[:, :, ::-1].copy()
    for seed in range(options.first, options.first + options.specs):
        try:
            model = quantised(options, libdet, "spec", ["--checkpoint", libdet.random(seed)], folder, 4, seed % 2 == 0)
            check_model(libdet, report, f"spec {seed}", model, [picture], None)
        except Exception as error:  # whatever an engine complains with
            report.say(False, f"spec {seed}: {error}")
    report.end()


def matrix(options):
    """AP of trained_raccoon, for docs/quantisation.md."""
    libdet = common.Libdet(options.build)
    raccoons = common.Raccoons(libdet, options.build)
    calibration = common.shared("data", "raccoon", "train.tfrecord")
    model = quantised(options, libdet, "eight", ["--checkpoint", raccoons.model], calibration, 160, False)
    file = libdet.export(model, "onnx", "eight", outputs=DETECTIONS)
    rows = [("float32, libdet", raccoons.model, None), ("8 bits, libdet", model, None)]
    rows += [(f"8 bits, {kind.name}", None, kind(os.path.join(file.folder, "eight.onnx"))) for kind in engines([(OnnxRuntime, "onnxruntime"), (OpenVino, "openvino")])]
    print("| trained_raccoon by | AP | AP50 |\n|---|---|---|")
    for name, own, engine in rows:
        found = raccoons.by((lambda picture, own=own: libdet.run(own, picture).detections.tolist()) if own else (lambda picture, engine=engine: rows_of(engine.run(picture[None]))))
        print(f"| {name} | {found[0]:.3f} | {found[1]:.3f} |", flush=True)


if __name__ == "__main__":
    chosen = common.arguments(__doc__)
    if chosen.specs:
        check_specs(chosen)
    elif chosen.matrix:
        matrix(chosen)
    else:
        check(chosen)
