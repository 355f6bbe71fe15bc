#!/usr/bin/env python3
"""Every race with a goal (docs/performance.md), one after the other, each by its own script; the figures in one file and one
table: job, peer, libdet's time, the peer's, the ratio, the goal, whether it is reached. What cannot be measured on this machine
is in the table too, with the reason. Use a machine with nothing else to do.

    make races        bench/peers/races.py [--model exported/model.det] [--image photo.jpg] [--only bf16] [--video traffic.mp4]"""
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time

from common import Partner, ROOT, arguments, finish, processor
from page import number

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ("onnxruntime", "openvino", "nncf", "ai-edge-litert", "ncnn", "tensorflow-cpu", "keras", "torch", "opencv-python-headless",
            "pycocotools", "faster-coco-eval")


def machine():
    facts = processor()
    wanted = ("sse", "avx", "fma", "amx", "f16c", "bf16")
    return {"processor": facts.get("model name", platform.machine()), "processors": len(os.sched_getaffinity(0)),
            "flags": sorted(flag for flag in facts.get("flags", "").split() if flag.startswith(wanted)),
            "system": platform.platform(), "time": time.strftime("%Y-%m-%d %H:%M:%S")}


def versions(options):
    found = {"libdet": subprocess.run([os.path.join(options.bin, "det-info")], capture_output=True, text=True).stdout.split("\n")[0]}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


class Row(dict):
    """One line of the table. ratio and goal: how many times as fast (or as small) as the peer; of a time, the peer is None."""

    def __init__(self, job, goal, peer=None, ours=None, theirs=None, unit="ms", missing=None):
        ratio = theirs / ours if ours and theirs else None
        if missing:
            reached = "not measurable here: " + missing
        elif goal is None:
            reached = ""
        else:
            reached = "yes" if (ratio >= goal if ratio else ours <= goal) else "no"
        super().__init__(job=job, peer=peer, libdet=ours, other=theirs, unit=unit, ratio=ratio, goal=goal, reached=reached)


def against(figures, goal, peer=None, ours="libdet", job=None):
    """A figure of show(): against one peer, or the fastest."""
    medians = figures["median_ms"]
    peer = peer or figures["best_peer"]
    job = job or figures["title"]
    if peer not in medians:
        return Row(job, goal, peer, medians[ours], missing=f"{peer} was left out")
    return Row(job, goal, peer, medians[ours], medians[peer])


def step_time(figures, seconds):
    """A time that is asked for of processors with AVX-512."""
    has = "avx512f" in processor().get("flags", "").split() and len(os.sched_getaffinity(0)) >= 2
    return Row(figures["title"] + ", by itself", seconds * 1e3, None, figures["median_ms"]["libdet"],
               missing=None if has else "asked for two cores with AVX-512")


def inference(figures):
    return [against(f, 1.05 if f["title"].startswith("network") else 1.3) for f in figures]


def eight_bits(figures):
    """Against the fastest peer and libdet's own float32, and each engine with the best of its files."""
    medians, title = figures[0]["median_ms"], figures[0]["title"]
    flags = processor().get("flags", "").split()
    own = 3 if "avx512_vnni" in flags else 1.7 if "avx2" in flags else None
    rows = [against(figures[0], 1.2), Row(title, own, "f32 by libdet", medians["libdet"], medians["libdet f32"])]
    for engine in ("ONNX Runtime", "OpenVINO", "LiteRT"):
        best = min((name for name in medians if name.startswith(engine)), key=medians.get, default=engine)
        if best != figures[0]["best_peer"]:
            rows.append(against(figures[0], None, best))
    return rows


def scenes(options):
    """A folder of pictures like those that data/vehicles.det was trained on."""
    folder = os.path.join(options.scratch, "scenes")
    pictures = os.path.join(folder, "images", "test")
    if not os.path.isdir(pictures):
        subprocess.run([os.path.join(options.bin, "det-demo-data"), folder, "--train", "1", "--test", "100", "--seed", "7"], check=True,
                       stdout=subprocess.DEVNULL)
    return pictures


def races(options):
    """name, script, its arguments, the rows that are made of its figures."""
    picture = ["--model", options.model, "--image", options.image]
    cells = [(size, threads) for threads in (1, 2) for size in (320, 640)]
    quick = ["--rounds", "1"] if options.quick else []
    step = quick + (["--each", "1"] if options.quick else [])
    list_of = [(f"inference f32, {s}, {t} thread(s)", "infer.py",
                picture + quick + ["--sizes", str(s), "--threads", str(t)], inference) for s, t in cells]
    list_of += [(f"inference bf16, {s}, {t} thread(s)", "infer.py",
                 picture + quick + ["--sizes", str(s), "--threads", str(t), "--precision", "bf16"],
                 lambda figures: [against(figures[0], 1.05, "OpenVINO bf16")]) for s, t in cells]
    list_of += [(f"inference int8, {s}, {t} thread(s)", "int8.py",
                 ["--model", options.model, "--calibration", options.calibration, "--size", str(s), "--threads", str(t)] + quick +
                 (["--images", "10"] if options.quick else []) + (["--fresh"] if t == 1 else []), eight_bits)
                for s, t in cells if options.calibration]
    list_of += [
        ("training f32, 320 batch 8", "train.py", step + ["--size", "320", "--batch", "8"],
         lambda figures: [against(figures[0], 1.5), step_time(figures[0], 0.28)]),
        ("training f32, 640 batch 2", "train.py", step + ["--size", "640", "--batch", "2"],
         lambda figures: [against(figures[0], 1.5)]),
        ("training bf16, 320 batch 8", "train.py", step + ["--size", "320", "--batch", "8", "--precision", "bf16"],
         lambda figures: [against(figures[0], 1.4)]),
        ("training memory, 320 batch 8", "train.py",
         ["--rounds", "1", "--each", "1", "--size", "320", "--batch", "8", "--only", "Keras"],
         lambda figures: [Row("peak memory of training, 320 batch 8", 3, "Keras", figures[0]["libdet_peak_mb"],
                              figures[0]["peers_peak_mb"], "MB")]),
        ("COCO evaluation", "coco.py", ["--images", "200"] if options.quick else [],
         lambda figures: [against(figures[0], 20, "pycocotools"), against(figures[0], 3, "faster-coco-eval")]),
        ("decode", "decode.py", quick,
         lambda figures: [against(figures[0], 1.3, job="decode, crop, flip, resize to 320"), against(figures[1], 2, "TensorFlow")]),
        ("start", "start.py", picture + quick,
         lambda figures: [against(figures[0], 5, ours="det-detect"), against(figures[1], None)]),
    ]
    if options.video:
        list_of.append(("video", "video.py", ["--model", options.model, "--video", options.video] + quick,
                        lambda figures: [against(f, 1.5) for f in figures]))
    return [race for race in list_of if options.only is None or any(text in race[0] for text in options.only)]


def run(options, name, script, words, rows_of):
    part = os.path.join(options.scratch, "race.json")
    command = [os.path.join(HERE, script), *words, "--bin", options.bin, "--scratch", options.scratch, "--json", part]
    made = {"race": name, "command": " ".join(["bench/peers/" + script, *words]).replace(ROOT + os.sep, "")}
    print(f"\n== {name}: {made['command']}", flush=True)
    if os.path.exists(part):
        os.remove(part)
    start = time.monotonic()
    done = subprocess.run([sys.executable, *command], stderr=subprocess.PIPE, text=True)
    made["seconds"] = round(time.monotonic() - start, 1)
    if done.returncode != 0 or not os.path.exists(part):
        said = done.stderr.strip().splitlines()
        made["failed"] = said[-1][:300] if said else f"status {done.returncode}"
        return made, [Row(name, None, missing="failed: " + made["failed"])]
    with open(part) as file:
        made["figures"] = json.load(file)
    if "skipped" in made["figures"][0]:
        return made, [Row(name, None, missing=made["figures"][0]["skipped"])]
    return made, rows_of(made["figures"])


def table(rows):
    lines = [["job", "peer", "libdet", "peer's", "ratio", "goal", "reached"]]
    for row in rows:
        goal = "" if row["goal"] is None else number(row["goal"], "ms") if row["peer"] is None else f"{row['goal']:g}"
        lines.append([row["job"], row["peer"] or "", number(row["libdet"], row["unit"]), number(row["other"], row["unit"]),
                      f"{row['ratio']:.2f}" if row["ratio"] else "", goal, row["reached"]])
    widths = [max(len(line[i]) for line in lines) for i in range(6)]
    for i, line in enumerate(lines):
        print("| " + " | ".join([cell.ljust(width) for cell, width in zip(line, widths)] + line[6:]) + " |")
        if i == 0:
            print("|" + " --- |" * 7)


def main():
    vehicles = os.path.join(ROOT, "data/vehicles.det")
    options = arguments(__doc__, model=dict(default=vehicles),
                        image=dict(help="a JPEG; without it one of 1280 x 720 is made"),
                        calibration=dict(help="folder of image files that models in 8 bits are made with; without it scenes are drawn "
                                              "for data/vehicles.det, and other models are not raced in 8 bits"),
                        video=dict(help="races with this video too"),
                        only=dict(action="append", help="races whose name holds this (may be repeated)"),
                        quick=dict(action="store_true", help="one round each: tries the scripts, the figures mean little"))
    model, options.model = options.model, os.path.join(options.scratch, "races.det")
    partner = Partner(options, "detect", model, 320, threads=1)
    partner("export", options.model)
    partner.close()
    if not options.calibration and model == vehicles:
        options.calibration = scenes(options)
    if not options.image:
        import decode
        options.image = os.path.join(options.scratch, "photo.jpg")
        decode.photograph(options.image, 1280, 720)
    made, rows = [], []
    for race in races(options):
        figures, more = run(options, *race)
        made.append(figures)
        rows += more
        # What stands is kept when a later race is interrupted.
        finish(options, {"machine": machine(), "versions": versions(options), "rows": rows, "races": made})
    print("\n" + machine()["processor"] + ", " + str(machine()["processors"]) + " processors")
    table(rows)


if __name__ == "__main__":
    main()
