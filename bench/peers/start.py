#!/usr/bin/env python3
"""From the start of the process to the first detections in one picture: libdet's examples/detect_image and det-detect
against a script for each peer that does the least it can (import, load, decode with OpenCV, run), and the same without
Python's start and imports: what the engine itself takes to load and to answer for the first time.

    bench/peers/start.py --model exported/model.det --image photo.jpg --size 320"""
import json
import os
import subprocess
import sys
import time

from common import Graph, Partner, arguments, cores, finish, show
import networks

PRELUDE = """
import sys, time
sys.path[:0] = {path!r}
import numpy as np, cv2
{imports}
start = time.perf_counter()
{load}
image = cv2.cvtColor(cv2.imread({image!r}), cv2.COLOR_BGR2RGB)
x = cv2.resize(image, ({size}, {size})).astype(np.float32)[None] * (2 / 255) - 1
{run}
boxes = boxes.reshape(-1, 4); scores = 1 / (1 + np.exp(-logits.reshape(len(boxes), -1)[:, 1:]))
keep = np.flatnonzero(scores.max(1) > 0.3)
cv2.dnn.NMSBoxes(boxes[keep].tolist(), scores[keep].max(1).tolist(), 0.3, 0.6)
print(time.perf_counter() - start)
"""

PEERS = {
    "ONNX Runtime": ("import onnxruntime",
                     "o = onnxruntime.SessionOptions(); o.intra_op_num_threads = {threads}\n"
                     "s = onnxruntime.InferenceSession({stem!r} + '.onnx', o, providers=['CPUExecutionProvider'])",
                     "boxes, logits = s.run(None, {{'x': x}})"),
    "OpenVINO": ("import openvino",
                 "m = openvino.Core().compile_model({stem!r} + '.onnx', 'CPU', {{'INFERENCE_NUM_THREADS': {threads}, "
                 "'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f32'}})",
                 "r = m({{0: x}}); boxes, logits = r[0], r[1]"),
    "LiteRT (XNNPACK)": ("from ai_edge_litert.interpreter import Interpreter",
                         "i = Interpreter({tflite!r}, num_threads={threads}); i.allocate_tensors()",
                         "i.set_tensor(i.get_input_details()[0]['index'], x); i.invoke()\n"
                         "o = sorted(i.get_output_details(), key=lambda o: -o['shape'][-1])\n"
                         "if i.get_signature_list(): o = [v for _, v in sorted(i.get_signature_runner().get_output_details().items())]\n"
                         "boxes, logits = (i.get_tensor(k['index']) for k in o)"),
    "ncnn": ("import ncnn",
             "n = ncnn.Net(); n.opt.num_threads = {threads}; n.load_param({stem!r} + '.param'); n.load_model({stem!r} + '.bin')",
             "e = n.create_extractor(); e.input('t0', ncnn.Mat(np.ascontiguousarray(x[0].transpose(2, 0, 1))))\n"
             "boxes, logits = (np.array(e.extract(k)[1]) for k in ('boxes', 'logits'))"),
}


def run(command):
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return (time.perf_counter() - start) * 1e3, done.stdout


def main():
    options = arguments(__doc__, model=dict(required=True), image=dict(required=True), size=dict(type=int, default=320),
                        threads=dict(type=int, default=2), rounds=dict(type=int, default=5),
                        files=dict(help="folder of net320.tflite, ..."))
    os.sched_setaffinity(0, {int(c) for c in cores(options.threads).split(",")})
    partner = Partner(options, "detect", options.model, options.size, threads=options.threads)
    partner("graph", options.scratch)
    partner.close()
    graph, stem = Graph(options.scratch), os.path.join(options.scratch, f"net{options.size}")
    networks.onnx_model(graph, stem + ".onnx")
    networks.ncnn_model(graph, stem + ".param", stem + ".bin")
    tflite = os.path.join(options.files, f"net{options.size}.tflite") if options.files else stem + ".tflite"
    if not options.files:
        networks.tflite_model(graph, tflite)
    values = dict(path=[p for p in sys.path if p], image=options.image, size=options.size, threads=options.threads,
                  stem=stem, tflite=tflite)
    scripts = {}
    for name, (imports, load, answer) in PEERS.items():
        scripts[name] = PRELUDE.format(imports=imports, load=load.format(**values), run=answer.format(**values), **values)
    ours = {"libdet": [os.path.join(options.bin, "../examples/detect_image"), options.model, options.image],
            "det-detect": [os.path.join(options.bin, "det-detect"), options.model, options.image, "--threads",
                                        str(options.threads), "--threshold", "0.3", "--quiet"]}
    bench = [os.path.join(options.bin, "det-bench"), options.model, "--image", options.image, "--threads",
             str(options.threads), "--size", str(options.size), "--repeat", "1", "--json", "-"]
    process, inside = {name: [] for name in ours}, {"libdet": []}
    for turn in range(options.rounds + 1):
        for name, command in ours.items():
            took, _ = run(command)
            if turn > 0:  # the first turn fills the page cache
                process[name].append(took)

        made = json.loads(run(bench)[1])
        if turn > 0:
            inside["libdet"].append(made["load_ms"] + made["first_ms"])
        for name, script in scripts.items():
            try:
                took, printed = run([sys.executable, "-c", script])
            except subprocess.CalledProcessError as error:
                if turn == 0:
                    print(f"  {name}: left out: {error.stderr.strip().splitlines()[-1][:200]}")
                continue
            if turn > 0:
                process.setdefault(name, []).append(took)
                inside.setdefault(name, []).append(float(printed.split()[-1]) * 1e3)
    finish(options, [show(f"process start to first detections, {options.size}, {options.threads} thread(s)", process),
                     show("the same without process start and imports: load and first answer", inside)])


if __name__ == "__main__":
    main()
