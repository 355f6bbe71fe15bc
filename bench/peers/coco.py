#!/usr/bin/env python3
"""COCO evaluation of generated detections (5,000 images, 100 detections each, 80 classes) by libdet, pycocotools and
faster-coco-eval; files already in memory for all three, loading apart. The figures must agree within 1e-9."""
import contextlib
import io
import json
import os
import random
import re
import subprocess

from common import arguments, cores, finish, show


def generate(options):
    """Objects, and detections that find most of them, some twice, some of the wrong class."""
    chance = random.Random(7)
    images, annotations, detections = [], [], []
    for i in range(1, options.images + 1):
        images.append({"id": i, "width": 640, "height": 480, "file_name": f"{i}.jpg"})
        objects = []
        for _ in range(chance.randint(1, 14)):
            w, h = chance.uniform(8, 300), chance.uniform(8, 250)
            box = [round(chance.uniform(0, 640 - w), 2), round(chance.uniform(0, 480 - h), 2), round(w, 2), round(h, 2)]
            category = chance.randint(1, options.classes)
            objects.append((category, box))
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": category, "bbox": box,
                                "area": box[2] * box[3], "iscrowd": int(chance.random() < 0.02)})
        for _ in range(options.detections):
            if chance.random() < 0.3:
                category, box = chance.choice(objects)
                box = [round(v + chance.gauss(0, 6), 2) for v in box]
                box[2], box[3] = max(box[2], 1), max(box[3], 1)
                score = chance.betavariate(4, 2)
            else:
                category = chance.randint(1, options.classes)
                w, h = chance.uniform(8, 300), chance.uniform(8, 250)
                box = [round(chance.uniform(0, 640 - w), 2), round(chance.uniform(0, 480 - h), 2), round(w, 2), round(h, 2)]
                score = chance.betavariate(1, 6)
            detections.append({"image_id": i, "category_id": category, "bbox": box, "score": round(score, 6)})
    categories = [{"id": c, "name": f"class {c}"} for c in range(1, options.classes + 1)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    return truth, detections


def data(options):
    """Paths and contents of the two files, which are made once."""
    stem = os.path.join(options.scratch, f"coco_{options.images}x{options.detections}x{options.classes}_")
    paths = [stem + "truth.json", stem + "detections.json"]
    if not all(map(os.path.exists, paths)):
        for path, value in zip(paths, generate(options)):
            with open(path, "w") as file:
                json.dump(value, file)
    contents = []
    for path in paths:
        with open(path) as file:
            contents.append(json.load(file))
    return paths, *contents


def peer(module, truth, detections):
    """Seconds of evaluate + accumulate + summarize, and the 12 figures."""
    import time
    with contextlib.redirect_stdout(io.StringIO()):
        if module == "pycocotools":
            from pycocotools.coco import COCO
            from pycocotools.cocoeval import COCOeval as Evaluation
        else:
            from faster_coco_eval import COCO, COCOeval_faster as Evaluation
        if module == "pycocotools":
            coco = COCO()
            coco.dataset = json.loads(json.dumps(truth))
            coco.createIndex()
        else:
            coco = COCO(json.loads(json.dumps(truth)))
        results = coco.loadRes(json.loads(json.dumps(detections)))
        evaluation = Evaluation(coco, results, "bbox")
        start = time.perf_counter()
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        seconds = time.perf_counter() - start
    return seconds, [float(v) for v in evaluation.stats[:12]]


def libdet(options, paths):
    """bench --coco prints what it measured with both files in memory."""
    command = ["taskset", "-c", cores(1), os.path.join(options.bin, "bench"), "--threads", "1", "--coco", ",".join(paths)]
    made = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return made["seconds"], made["stats"]


def main():
    options = arguments(__doc__, images=dict(type=int, default=5000), detections=dict(type=int, default=100),
                        classes=dict(type=int, default=80), rounds=dict(type=int, default=1), only_make=dict(action="store_true", help="make the files and end"))
    os.sched_setaffinity(0, {int(cores(1))})
    paths, truth, detections = data(options)
    if options.only_make:
        return
    times, figures = {"libdet": [], "faster-coco-eval": [], "pycocotools": []}, {}
    for _ in range(options.rounds):
        for name in times:
            seconds, figures[name] = libdet(options, paths) if name == "libdet" else peer(name, truth, detections)
            times[name].append(seconds * 1e3)
    for name, stats in figures.items():
        worst = max(abs(a - b) for a, b in zip(stats, figures["pycocotools"]))
        print(f"  {name:20s} AP {stats[0]:.6f}, AP50 {stats[1]:.6f}, largest difference from pycocotools {worst:.1e}")
        if not worst < (1e-9 if name == "libdet" else 1e-3):
            raise SystemExit(f"{name} disagrees: {re.sub(' +', ' ', str(stats))}")
    finish(options, [show(f"COCO evaluation, {options.images} x {options.detections} x {options.classes}, 1 thread", times)])


if __name__ == "__main__":
    main()
