#!/usr/bin/env python3
"""The network alone in 8 bits, by libdet and by its peers, alternately in one run, all calibrated on the same pictures; and libdet's
float32 beside them.

    bench/peers/int8.py --model exported/model.det --calibration FOLDER [--images 100]

Everything is in 8 bits (libdet: --int8_only). Each peer has what is best for it: ONNX Runtime the QDQ file of its own quantize_static and libdet's, OpenVINO these and NNCF's,
LiteRT libdet's .tflite and the one of TensorFlow's converter. What lies farther from libdet's float32 answers than 8 bits explain is
left out. Files are kept in --scratch for the next run of that size; --fresh makes them anew."""
import os
import shutil
import subprocess
import sys

from common import Graph, Partner, arguments, cores, finish, milliseconds, np, race, show
from infer import litert_runner, onnxruntime_runner, openvino_runner
import networks

# Root of the mean squared difference from float32, in shares of the float32 outputs.
MOST = 0.3


def pictures(options, size):
    """Normalised pixels [1, size, size, 3] of each picture, whole grey levels."""
    import cv2
    names = sorted(os.path.join(options.calibration, name) for name in os.listdir(options.calibration))
    step = max(len(names) / options.images, 1)
    for i in range(min(options.images, len(names))):
        image = cv2.cvtColor(cv2.imread(names[int(i * step)]), cv2.COLOR_BGR2RGB)
        yield cv2.resize(image, (size, size)).astype(np.float32)[None] * np.float32(2 / 255) - 1


def exported(options, model, folder, *words):
    """det-export of libdet's model in 8 bits."""
    command = [os.path.join(options.bin, "det-export"), "--checkpoint", model, "--output_directory", folder, "--precision", "int8",
               "--calibration", options.calibration, "--calibration_images", str(options.images), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(next((line for line in done.stderr.splitlines() if line.startswith("det-export: ")), f"status {done.returncode}"))


def quantize_static(options, size, source, path):
    """ONNX Runtime's own: QDQ, uint8 activations and int8 weights with a scale for each channel, its choice for x86."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static as quantize
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = pictures(options, size)

        def get_next(self):
            x = next(self.left, None)
            return None if x is None else {"x": x}

    prepared = path + ".prepared.onnx"
    quant_pre_process(source, prepared)
    quantize(prepared, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
             weight_type=QuantType.QInt8)


def nncf_quantize(options, size, source, path):
    import nncf
    import openvino
    data = nncf.Dataset(list(pictures(options, size)))
    model = nncf.quantize(openvino.Core().read_model(source), data, preset=nncf.QuantizationPreset.MIXED,
                          subset_size=options.images)
    openvino.save_model(model, path)


def tensorflow_quantize(options, size, graph, path):
    import tensorflow as tf
    converter = tf.lite.TFLiteConverter.from_keras_model(networks.keras_model(graph, batch=1))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x] for x in pictures(options, size))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with open(path, "wb") as file:
        file.write(converter.convert())


def answer_of(graph, outputs, logits=False):
    """Encodings [A, 4] and scores [A, K]. libdet's ONNX file gives scores, its TFLite file logits of the classes, the others logits
    with the background's."""
    boxes, scores = (np.asarray(part).reshape(graph.anchors, -1) for part in outputs[:2])
    if scores.shape[1] < graph.class_slots:
        return boxes, 1 / (1 + np.exp(-scores)) if logits else scores
    return boxes, 1 / (1 + np.exp(-scores[:, 1:]))


def share(answer, exact):
    """How far an answer lies from the exact one: the larger of its parts."""
    return max(float(np.sqrt(np.mean((a - b) ** 2) / np.mean(b ** 2))) for a, b in zip(answer, exact))


def make_peers(options, graph, model, size, threads):
    """name -> function(x) that returns encodings and scores or logits; what cannot be had is named."""
    stem = os.path.join(options.scratch, f"int8-{size}")
    exact = networks.onnx_model(graph, stem + ".onnx")
    onnx, nncf = stem + "-ort.onnx", stem + "-nncf.xml"
    tflite, converted = os.path.join(stem + "-tflite", "model.tflite"), stem + "-tf.tflite"
    files = {
        onnx: lambda: quantize_static(options, size, exact, onnx),
        nncf: lambda: nncf_quantize(options, size, exact, nncf),
        converted: lambda: tensorflow_quantize(options, size, graph, converted),
        tflite: lambda: exported(options, model, os.path.dirname(tflite), "--format", "tflite", "--tflite_outputs", "raw"),
    }
    own = os.path.join(stem, "model.onnx")
    made = {
        "ONNX Runtime (its file)": (onnxruntime_runner, onnx),
        "ONNX Runtime (libdet's file)": (onnxruntime_runner, own),
        "OpenVINO (NNCF)": (openvino_runner, nncf),
        "OpenVINO (ORT's file)": (openvino_runner, onnx),
        "OpenVINO (libdet's file)": (openvino_runner, own),
        "LiteRT (libdet's file)": (litert_runner, tflite),
        "LiteRT (TF's file)": (litert_runner, converted),
    }
    peers = {}
    for name, (runner, path) in made.items():
        if options.only and not any(word in name for word in options.only):
            continue
        try:
            if not os.path.exists(path):
                print(f"  {os.path.basename(path)} is made", flush=True)
                files[path]()
            peers[name] = runner(path, threads)
        except Exception as error:  # a peer that is not installed, or takes no such file, is left out
            print(f"  {name}: left out: {type(error).__name__}: {str(error)[:200]}")
    return peers


def outputs_of(options, graph, partner):
    path = os.path.join(options.scratch, "outputs.bin")
    partner("outputs", path)
    values = np.fromfile(path, np.float32)
    return answer_of(graph, (values[:graph.anchors * 4], values[graph.anchors * 4:]))


def cell(options, size, threads):
    os.sched_setaffinity(0, {int(c) for c in cores(threads).split(",")})
    stem = os.path.join(options.scratch, f"int8-{size}")
    model, own = stem + ".det", os.path.join(stem, "model.det")
    single = Partner(options, "detect", options.model, size, threads=threads)
    single("graph", options.scratch)
    graph = Graph(options.scratch)
    if not os.path.exists(own):
        single("export", model)  # at this size
        exported(options, model, stem, "--format", "det,onnx", "--onnx_outputs", "raw", "--input", "nhwc", "--int8_only")
    eight = Partner(options, "detect", own, size, threads=threads, precision="int8")
    x = next(pictures(options, size))
    pixels = os.path.join(options.scratch, "input.bin")
    np.round((x + 1) * np.float32(127.5)).astype(np.float32).tofile(pixels)
    for partner in (single, eight):
        partner("input", pixels)
        partner("network", 1)
    exact = outputs_of(options, graph, single)
    peers = make_peers(options, graph, model, size, threads)
    print(f"\n{size} x {size}, {threads} thread(s), {eight.device}; from libdet's float32 lie, in shares of it:")
    print(f"  {'libdet':34s} {share(outputs_of(options, graph, eight), exact):.3f}")
    for name, run in list(peers.items()):
        answer = run(x)
        real = run.real(answer) if hasattr(run, "real") else answer
        far = share(answer_of(graph, real, logits=name == "LiteRT (libdet's file)"), exact)
        print(f"  {name:34s} {far:.3f}{'' if far < MOST else ': left out, these are other answers'}")
        if not far < MOST:
            del peers[name]
    if not peers:
        sys.exit("no peer computes the same network")
    runners = {"libdet": lambda count: eight("network", count)["ms"], "libdet f32": lambda count: single("network", count)["ms"]}
    runners.update({name: (lambda count, run=run: milliseconds(lambda: run(x), count)) for name, run in peers.items()})
    figures = show(f"network alone, {size}, {threads} thread(s), int8", race(runners, options.rounds, 5 if size < 500 else 3))
    for partner in (single, eight):
        partner.close()
    return [figures]


def main():
    options = arguments(__doc__, model=dict(required=True), calibration=dict(required=True, help="folder of image files"),
                        images=dict(type=int, default=100, help="pictures of the folder, evenly from all"),
                        size=dict(type=int, default=320), threads=dict(type=int, default=1), rounds=dict(type=int, default=6),
                        fresh=dict(action="store_true", help="makes the size's files anew"),
                        only=dict(action="append", help="peers whose name holds this (may be repeated)"))
    if options.fresh:
        for name in os.listdir(options.scratch):
            path = os.path.join(options.scratch, name)
            if name.startswith(f"int8-{options.size}"):
                shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)
    finish(options, cell(options, options.size, options.threads))


if __name__ == "__main__":
    main()
