#!/usr/bin/env python3
"""Inference of one .det by libdet and by its peers, alternately in one run: the network alone on the same input, with the
answers compared, then the whole path from a JPEG's bytes to detections.

    bench/peers/infer.py --model exported/model.det --image photo.jpg [--files DIR] [--precision bf16]

--files DIR: a folder with net320.tflite and so on, used instead of a file converted here.
--precision bf16: libdet's bf16 against OpenVINO's, and both against their own f32; where the processor has no instructions for
it that is skipped, unless --anyway asks for it (to try the script: libdet widens then, and OpenVINO may ignore the wish)."""
import json
import os
import subprocess
import sys

from common import Graph, Partner, arguments, cores, finish, milliseconds, np, race, show, without_bf16
import networks


def onnxruntime_runner(path, threads):
    import onnxruntime
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})


def openvino_runner(path, threads, precision="f32", strict=True):
    import openvino
    core = openvino.Core()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
                                                "INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": "1"})
    used = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if used != precision and strict:
        raise RuntimeError(f"asked for {precision}, it computes in {used}")
    request = compiled.create_infer_request()

    def run(x):
        request.infer({0: x}, share_inputs=True)
        return [request.get_output_tensor(i).data for i in range(2)]
    return run


def litert_runner(path, threads):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(path, num_threads=threads)  # XNNPACK is its default
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    if interpreter.get_signature_list():  # output_0 encodings, output_1 logits
        outputs = [o for _, o in sorted(interpreter.get_signature_runner().get_output_details().items())]
    else:  # by their widths, of which the logits' is the smaller with fewer than three classes
        outputs = sorted(interpreter.get_output_details(), key=lambda o: -o["shape"][-1])

    levels = [None, None]  # of pixels x: what a camera would give, not to be timed

    def run(x):
        if source["dtype"] != np.float32:
            if levels[0] is not x:
                levels[:] = x, (np.rint((x + 1) * 127.5) - (128 if source["dtype"] == np.int8 else 0)).astype(source["dtype"])
            x = levels[1]
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        return [interpreter.get_tensor(o["index"]) for o in outputs]

    def real(values, details):
        scale, zero = details["quantization"]
        return values if values.dtype == np.float32 else (values.astype(np.float32) - zero) * np.float32(scale)
    run.real = lambda answer: [real(values, details) for values, details in zip(answer, outputs)]
    return run


def ncnn_runner(param, weights, threads):
    import ncnn
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    if net.load_param(param) != 0 or net.load_model(weights) != 0:
        raise RuntimeError("ncnn cannot load its network")

    def run(x):
        extractor = net.create_extractor()
        extractor.input("t0", ncnn.Mat(np.ascontiguousarray(x[0].transpose(2, 0, 1))))
        return [np.array(extractor.extract(name)[1])[None] for name in ("boxes", "logits")]
    return run


def tensorflow_runner(graph, threads):
    import tensorflow as tf
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # one setting a process: main() starts a process for each number of threads
    model = networks.keras_model(graph, batch=1)
    function = tf.function(lambda x: model(x, training=False), jit_compile=False)
    return lambda x: [y.numpy() for y in function(tf.constant(x))]


def make_peers(options, graph, size, threads):
    """name -> function(x) that returns encodings and logits; what cannot be had is named."""
    stem = os.path.join(options.scratch, f"net{size}")
    given = os.path.join(options.files, f"net{size}.tflite") if options.files else None
    made = {
        "ONNX Runtime": lambda: onnxruntime_runner(networks.onnx_model(graph, stem + ".onnx"), threads),
        "OpenVINO": lambda: openvino_runner(networks.onnx_model(graph, stem + ".onnx"), threads),
        "LiteRT (XNNPACK)": lambda: litert_runner(given or networks.tflite_model(graph, stem + ".tflite"), threads),
        "ncnn": lambda: (networks.ncnn_model(graph, stem + ".param", stem + ".bin"),
                         ncnn_runner(stem + ".param", stem + ".bin", threads))[1],
        "TensorFlow": lambda: tensorflow_runner(graph, threads),
    }
    if options.precision == "bf16":
        made = {"OpenVINO bf16": lambda: openvino_runner(networks.onnx_model(graph, stem + ".onnx"), threads, "bf16",
                                                         strict=not options.anyway),
                "OpenVINO f32": made["OpenVINO"]}
    peers = {}
    for name, make in made.items():
        if options.only and name not in options.only:
            continue
        try:
            peers[name] = make()
        except Exception as error:  # a peer that is not installed is left out
            print(f"  {name}: left out: {type(error).__name__}: {str(error)[:200]}")
    return peers


def opencv_detect(run, size, anchors, bgr, threshold):
    """What Python users write around such a network: class id, score, x, y, width, height (normalised) of each object."""
    import cv2
    image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    x = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR).astype(np.float32)[None] * (2 / 255) - 1
    boxes, logits = run(x)
    boxes, scores = boxes[0], 1 / (1 + np.exp(-logits[0][:, 1:]))
    found = []
    for c in range(scores.shape[1]):
        keep = np.flatnonzero(scores[:, c] > threshold)
        if keep.size == 0:
            continue
        a, e = anchors[keep], boxes[keep]
        h, w = a[:, 2] - a[:, 0], a[:, 3] - a[:, 1]
        cy, cx = e[:, 0] / 10 * h + (a[:, 0] + a[:, 2]) / 2, e[:, 1] / 10 * w + (a[:, 1] + a[:, 3]) / 2
        bh, bw = np.exp(e[:, 2] / 5) * h, np.exp(e[:, 3] / 5) * w
        rows = np.stack([cx - bw / 2, cy - bh / 2, bw, bh], 1)
        for i in np.asarray(cv2.dnn.NMSBoxes(rows.tolist(), scores[keep, c].tolist(), threshold, 0.6)).reshape(-1):
            found.append((c + 1, float(scores[keep[i], c]), *rows[i].tolist()))
    return found


def opencv_path(run, size, anchors, jpeg):
    """A JPEG's bytes to detections."""
    import cv2
    cv2.setNumThreads(1)
    return lambda: opencv_detect(run, size, anchors, cv2.imdecode(jpeg, cv2.IMREAD_COLOR), 0.3)


def anchor_boxes(graph, size):
    """multiscale_anchor_generator's boxes for the network's levels, normalised."""
    out = []
    for level, t in enumerate(graph.box_outputs, start=3):
        h, w, _ = graph.tensors[t]
        stride = 2 ** level
        offset = stride / 2 if size % stride == 0 else 0
        for y in range(h):
            for x in range(w):
                for aspect in (1.0, 2.0, 0.5):
                    for octave in (1, 2 ** 0.5):
                        bh, bw = 4 * stride * octave / aspect ** 0.5, 4 * stride * octave * aspect ** 0.5
                        cy, cx = y * stride + offset, x * stride + offset
                        out.append((cy - bh / 2, cx - bw / 2, cy + bh / 2, cx + bw / 2))
    return np.array(out, np.float32) / size


def cell(options, size, threads):
    os.sched_setaffinity(0, {int(c) for c in cores(threads).split(",")})
    libdet = Partner(options, "detect", options.model, size, threads=threads, precision=options.precision)
    libdet("graph", options.scratch)
    graph = Graph(options.scratch)
    x = np.random.default_rng(1).uniform(-1, 1, (1, size, size, 3)).astype(np.float32)
    pixels = os.path.join(options.scratch, "input.bin")
    answers = os.path.join(options.scratch, "outputs.bin")
    ((x + 1) * np.float32(127.5)).tofile(pixels)
    libdet("input", pixels)
    libdet("network", 1)
    libdet("outputs", answers)
    ours = np.fromfile(answers, np.float32)
    # Where a value is stored in bf16 it is rounded by up to 1/256, here on both sides.
    bound = 2e-3 if options.precision == "f32" else 0.05 * float(np.abs(ours).max())
    boxes, logits = ours[:graph.anchors * 4].reshape(1, -1, 4), ours[graph.anchors * 4:].reshape(1, graph.anchors, -1)
    peers = make_peers(options, graph, size, threads)
    print(f"\n{size} x {size}, {threads} thread(s), {libdet.device}; largest difference of the outputs:")
    for name, run in list(peers.items()):
        theirs = run(x)
        worst = max(np.abs(theirs[0] - boxes).max(), np.abs(theirs[1] - logits).max())
        print(f"  {name:28s} {worst:.2e}{'' if worst < bound else ': left out, these are other answers'}")
        if not worst < bound:
            del peers[name]
    if not peers:
        sys.exit("no peer computes the same network")
    each = 5 if size < 500 else 3
    runners = {"libdet": lambda count: libdet("network", count)["ms"]}
    runners.update({name: (lambda count, run=run: milliseconds(lambda: run(x), count)) for name, run in peers.items()})
    single = None
    if options.precision == "bf16":
        single = Partner(options, "detect", options.model, size, threads=threads)
        single("input", pixels)
        runners["libdet f32"] = lambda count: single("network", count)["ms"]
    suffix = "" if options.precision == "f32" else ", " + options.precision
    network = show(f"network alone, {size}, {threads} thread(s){suffix}", race(runners, options.rounds, each))
    jpeg = np.fromfile(options.image, np.uint8)
    anchors = anchor_boxes(graph, size)
    runners = {"libdet": lambda count: libdet("picture", options.image, count)["ms"]}
    for name, run in peers.items():
        whole = opencv_path(run, size, anchors, jpeg)
        runners[name] = lambda count, whole=whole: milliseconds(whole, count)
        print(f"  {name}: {len(whole())} detections in the picture (libdet {len(libdet('picture', options.image, 1)['detections'])})")
    if single:
        single.close()
    path = show(f"JPEG to detections, {size}, {threads} thread(s){suffix}", race(runners, options.rounds, each))
    libdet.close()
    return [network, path]


def main():
    options = arguments(__doc__, model=dict(required=True), image=dict(required=True, help="a JPEG"),
                        files=dict(help="folder of net320.tflite, ..."), sizes=dict(default="320,640"),
                        threads=dict(default="1,2"), rounds=dict(type=int, default=6),
                        precision=dict(default="f32", choices=["f32", "bf16"]),
                        anyway=dict(action="store_true", help="bf16 on a processor that has no instructions for it"),
                        only=dict(action="append", help="a peer's name (may be repeated)"))
    figures = []
    if options.precision == "bf16" and without_bf16() and not options.anyway:
        print(f"skipped: {without_bf16()}")
        return finish(options, [{"skipped": without_bf16()}])
    sizes, threads = options.sizes.split(","), options.threads.split(",")
    for count in threads:
        for size in sizes:
            if len(sizes) * len(threads) == 1:
                figures += cell(options, int(size), int(count))
                continue
            # A process of its own: TensorFlow takes its number of threads once.
            part = os.path.join(options.scratch, "part.json")
            subprocess.run([sys.executable, os.path.abspath(__file__), *sys.argv[1:], "--sizes", size, "--threads", count,
                            "--json", part], check=True)
            with open(part) as file:
                figures += json.load(file)
    finish(options, figures)


if __name__ == "__main__":
    main()
