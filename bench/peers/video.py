#!/usr/bin/env python3
"""A video through det-detect and through the Python program people write for it: cv2.VideoCapture, cv2.resize, ONNX Runtime
with the same weights, NumPy and cv2.dnn.NMSBoxes, cv2.rectangle and cv2.putText, cv2.VideoWriter. Both on the same
processors, in turns, detections compared. The peer's time begins when its modules are imported and the network is loaded;
det-detect's is that of the whole process.

    det-demo-data --video traffic.mp4 --seconds 10
    bench/peers/video.py --model data/vehicles.det --video traffic.mp4

The peer comes in two forms: a loop, and threads for reading and for writing around the loop. OpenCV's wheel has no H.264 encoder, so the race with a
video out is in MPEG-4 on both sides (FFmpeg's encoder `mpeg4` in both); what det-detect writes without being told, H.264, is timed beside it."""
import json
import os
import queue
import subprocess
import sys
import threading
import time

from common import Graph, Partner, arguments, cores, finish, np, race, show
from infer import anchor_boxes, onnxruntime_runner, opencv_detect
import networks


def ahead(items, room=8):
    """The same items, taken by a thread of its own."""
    line = queue.Queue(room)

    def take():
        for item in items:
            line.put(item)
        line.put(None)
    threading.Thread(target=take, daemon=True).start()
    while (item := line.get()) is not None:
        yield item


class Behind:
    """A writer in a thread of its own."""

    def __init__(self, writer, room=8):
        self.writer, self.line = writer, queue.Queue(room)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while (frame := self.line.get()) is not None:
            self.writer.write(frame)

    def write(self, frame):
        self.line.put(frame)

    def release(self):
        self.line.put(None)
        self.thread.join()
        self.writer.release()


def frames_of(capture):
    while True:
        more, frame = capture.read()
        if not more:
            return
        yield frame


def annotate(frame, found, names, colours):
    import cv2
    height, width = frame.shape[:2]
    for class_id, score, x, y, w, h in found:
        a = int(x * width), int(y * height)
        b = int((x + w) * width), int((y + h) * height)
        colour = colours[(class_id - 1) % len(colours)]
        cv2.rectangle(frame, a, b, colour, 2, cv2.LINE_AA)
        text = f"{names[class_id - 1]} {score:.0%}"
        (tw, th), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.6, 1)
        cv2.rectangle(frame, (a[0], a[1] - th - 6), (a[0] + tw, a[1]), colour, -1)
        cv2.putText(frame, text, (a[0], a[1] - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)


def peer(options):
    """The peer's own process: does the video as often as it is told, answers with a JSON line each time."""
    import cv2
    cv2.setNumThreads(options.threads)
    graph = Graph(options.scratch)
    run = onnxruntime_runner(os.path.join(options.scratch, f"net{options.size}.onnx"), options.threads)
    anchors = anchor_boxes(graph, options.size)
    names, colours = ["car", "truck", "bus"], [(60, 140, 255), (60, 200, 60), (220, 100, 60)]
    print("{}", flush=True)
    for line in sys.stdin:
        threaded, writes = line.split()[0] == "threads", line.split()[1] == "video"
        start = time.perf_counter()
        capture = cv2.VideoCapture(options.video)
        writer = None
        if writes:
            size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
            writer = cv2.VideoWriter(os.path.join(options.scratch, "peer.mp4"), cv2.VideoWriter_fourcc(*"mp4v"),
                                     capture.get(cv2.CAP_PROP_FPS), size)
            writer = Behind(writer) if threaded else writer
        found = []
        for frame in ahead(frames_of(capture)) if threaded else frames_of(capture):
            found.append(opencv_detect(run, options.size, anchors, frame, options.threshold))
            if writes:
                annotate(frame, found[-1], names, colours)
                writer.write(frame)
        if writes:
            writer.release()
        ms = (time.perf_counter() - start) * 1e3
        print(json.dumps({"ms": ms, "found": found}), flush=True)


class Peer:
    def __init__(self, options):
        self.process = subprocess.Popen(["taskset", "-c", cores(options.threads), sys.executable, os.path.abspath(__file__), *sys.argv[1:],
                                         "--peer", "yes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def __call__(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def libdet(options, *words):
    command = ["taskset", "-c", cores(options.threads), os.path.join(options.bin, "det-detect"), options.model, options.video, "--quiet",
               "--threads", str(options.threads), "--threshold", str(options.threshold), *words]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1e3


def overlap(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def compare(lines, theirs):
    """Share of either side's detections that the other has: same frame, same class, IoU from .8 on."""
    agreed = ours_count = theirs_count = 0
    if len(lines) != len(theirs):
        sys.exit(f"libdet: {len(lines)} frames, peer: {len(theirs)}")
    for line, frame in zip(lines, theirs):
        width, height = line["width"], line["height"]
        left = [list(d) for d in frame]
        for d in line["detections"]:
            y0, x0, y1, x1 = (v / s for v, s in zip(d["box_px"], (height, width, height, width)))
            best = max((f for f in left if f[0] == d["class_id"]), key=lambda f: overlap(f[2:], (x0, y0, x1 - x0, y1 - y0)), default=None)
            if best is not None and overlap(best[2:], (x0, y0, x1 - x0, y1 - y0)) > 0.8:
                left.remove(best)
                agreed += 1
        ours_count += len(line["detections"])
        theirs_count += len(frame)
    return ours_count, theirs_count, agreed


def main():
    options = arguments(__doc__, model=dict(required=True), video=dict(required=True), size=dict(type=int, default=320),
                        threads=dict(type=int, default=2), threshold=dict(type=float, default=0.5), rounds=dict(type=int, default=3),
                        peer=dict(help="for the script's own use"))
    if options.peer:
        return peer(options)
    partner = Partner(options, "detect", options.model, options.size, threads=options.threads)
    partner("graph", options.scratch)
    partner.close()
    networks.onnx_model(Graph(options.scratch), os.path.join(options.scratch, f"net{options.size}.onnx"))
    out, lines = os.path.join(options.scratch, "libdet.mp4"), os.path.join(options.scratch, "libdet.jsonl")
    other = Peer(options)
    libdet(options, "--no_video", "--json", lines)
    with open(lines) as file:
        ours, theirs, agreed = compare([json.loads(line) for line in file], other("loop none")["found"])
    print(f"libdet found {ours} objects, the peer {theirs}, {agreed} in both")
    if not agreed > 0.9 * max(ours, theirs):
        sys.exit("the detections do not agree")
    jobs = {
        "detections alone (JSON lines, or in memory)": {
            "libdet": lambda: libdet(options, "--no_video", "--json", lines),
            "loop": lambda: other("loop none")["ms"], "threads": lambda: other("threads none")["ms"]},
        "annotated video, MPEG-4": {
            "libdet": lambda: libdet(options, "--output", out, "--codec", "mpeg4"),
            "libdet, H.264": lambda: libdet(options, "--output", out),
            "loop": lambda: other("loop video")["ms"], "threads": lambda: other("threads video")["ms"]},
    }
    figures = []
    for title, sides in jobs.items():
        runners = {("" if name.startswith("libdet") else "OpenCV + ONNX Runtime, ") + name: (lambda count, side=side: [side() for _ in range(count)])
                   for name, side in sides.items()}
        times = {name: [] for name in runners}
        for _ in range(options.rounds):  # no warming up within a round: a run is long
            for name, run in runners.items():
                times[name] += run(1)
        figures.append(show(f"{title}, {options.size}, {options.threads} thread(s)", times))
    other.close()
    finish(options, figures)


if __name__ == "__main__":
    main()
