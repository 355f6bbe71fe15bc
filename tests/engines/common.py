"""What the checks of exported files share: pictures, libdet's own outputs, comparisons."""
import argparse
import dataclasses
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

import numpy as np

LIMIT = 1e-4  # of encodings and scores
PIXELS = 0.1  # of a detection's corners
PICTURES = 20

# det_export_settings
RAW, DECODED, DETECTIONS, EFFICIENT_NMS = 1, 2, 3, 4
IMAGE, FLOAT_NHWC, FLOAT_NCHW, UINT8, INT8 = 1, 2, 3, 4, 5
FLOAT32, FLOAT16 = 0, 1


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--build", default="build/release", help="a build of libdet")
    parser.add_argument("--specs", type=int, default=0, metavar="N", help="specs drawn at random, checked instead")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first of them")
    parser.add_argument("--matrix", action="store_true", help="print the table of sizes and classes instead")
    parser.add_argument("--pictures", type=int, default=PICTURES)
    return parser.parse_args()


@dataclasses.dataclass
class Exported:
    folder: str
    name: str
    bytes: int
    seconds: float
    encodings: float  # largest difference, by libdet's own proof
    scores: float
    signature: str


@dataclasses.dataclass
class Outputs:
    """What libdet makes of a picture."""

    input: np.ndarray  # [H * W * 3], rows of the network's input
    encodings: np.ndarray  # [A, 4]
    scores: np.ndarray  # [A, K]
    logits: np.ndarray  # [A, K]
    detections: np.ndarray  # [n, 6] ymin xmin ymax xmax score id


class Libdet:
    def __init__(self, build):
        self.program = os.path.abspath(os.path.join(build, "bin", "engine-files"))
        self.folder = tempfile.TemporaryDirectory(prefix="engines-")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def call(self, *words):
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    def model(self, size, classes):
        path = self.path(f"{size}-{classes}.det")
        self.call("model", path, size, classes)
        return path

    def random(self, seed, *words):
        path = self.path(f"random-{seed}.det")
        self.call("random", path, seed, *words)
        return path

    def quantised(self, model, pictures, hostile=0):
        """A copy of a model, all in 8 bits; `hostile`: a seed for scales and zeros that no training gives."""
        path = f"{os.path.splitext(self.path(os.path.basename(model)))[0]}-8-{hostile}.det"
        words = []
        for i, picture in enumerate(pictures):
            picture.tofile(self.path(f"calibration-{i}.rgb"))
            words += [self.path(f"calibration-{i}.rgb"), *picture.shape[:2]]
        self.call("quantise", model, path, hostile, *words)
        return path

    def export(self, model, kind, name, **settings):
        words = [f"{key}={value}" for key, value in settings.items()]
        text = self.call("export", model, kind, self.folder.name, name, *words)
        first, signature = text.split("\n", 1)
        numbers = re.match(r"bytes (\S+) seconds (\S+) proved (\S+) tensors \S+ encodings (\S+) scores (\S+)", first)
        size, seconds, proved, encodings, scores = (float(value) for value in numbers.groups())
        if settings.get("verify", 1) and not proved:
            raise RuntimeError(f"{name}: not proved")
        return Exported(self.folder.name, name, int(size), seconds, encodings, scores, signature)

    def run(self, model, picture, **settings):
        picture.tofile(self.path("picture.rgb"))
        words = [f"{key}={value}" for key, value in settings.items()]
        out = self.path("libdet")
        self.call("run", model, self.path("picture.rgb"), *picture.shape[:2], out, *words)
        floats = {part: np.fromfile(f"{out}.{part}", "<f4") for part in ("input", "encodings", "scores", "logits", "detections")}
        encodings = floats["encodings"].reshape(-1, 4)
        scores, logits = (floats[part].reshape(len(encodings), -1) for part in ("scores", "logits"))
        return Outputs(floats["input"], encodings, scores, logits, floats["detections"].reshape(-1, 6))


def drawn_picture(seed):
    """Rectangles and noise, neither square nor of a common size."""
    rng = np.random.default_rng(seed)
    height, width = (int(value) for value in rng.integers(200, 900, 2))
    picture = np.empty((height, width, 3), np.int64)
    picture[:] = rng.integers(0, 256, 3)
    for _ in range(30):
        top, bottom = sorted(rng.integers(0, height, 2))
        left, right = sorted(rng.integers(0, width, 2))
        picture[top : bottom + 1, left : right + 1] = rng.integers(0, 256, 3)
    return np.clip(picture + rng.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)


def records(path):
    """The serialised examples of a TFRecord file."""
    with open(path, "rb") as file:
        while header := file.read(12):
            yield file.read(struct.unpack("<Q", header[:8])[0])
            file.read(4)


def fields(message):
    """(number, payload) of a protobuf message's length-delimited fields."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        tag = varint()
        if tag & 7 != 2:
            raise ValueError("not a tf.Example")
        length = varint()
        yield tag >> 3, message[at : at + length]
        at += length


def example(record):
    """{name: list of bytes} of the bytes features of a tf.Example."""
    values = {}
    for _, features in fields(record):
        for _, entry in fields(features):
            parts = dict(fields(entry))
            for number, value_list in fields(parts[2]):
                if number == 1:
                    values[parts[1].decode()] = [value for _, value in fields(value_list)]
    return values


def shared(*parts):
    path = os.path.join(os.environ.get("DET_SHARED", "../shared"), *parts)
    return path if os.path.exists(path) else None


def decoded(jpeg):
    import cv2

    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].copy()


def pictures(count):
    """Photographs where the shared folder is, else drawn ones."""
    path = shared("data", "raccoon", "train.tfrecord")
    if path is None:
        return [drawn_picture(seed) for seed in range(count)]
    found = []
    for record in records(path):
        found.append(decoded(example(record)["image/encoded"][0]))
        if len(found) == count:
            break
    return found


class Raccoons:
    """goldens/trained_raccoon of the shared folder, as an exported model, on its test records: AP by det-eval."""

    def __init__(self, libdet, build):
        self.libdet = libdet
        self.evaluate = os.path.abspath(os.path.join(build, "bin", "det-eval"))
        folder = shared("goldens", "trained_raccoon")
        config = os.path.join(folder, "pipeline.config")
        export = os.path.abspath(os.path.join(build, "bin", "det-export"))
        words = [export, "--pipeline_config_path", config, "--checkpoint", os.path.join(folder, "ckpt-2"), "--output_directory", libdet.folder.name]
        subprocess.run(words, check=True, capture_output=True)
        self.model = libdet.path("model.det")
        words = ["--pipeline_config_path", config, "--checkpoint", self.model, "--form", "exported", "--report_dir", libdet.path("report")]
        self.own = self.figures(words)

    def figures(self, words):
        """AP and AP50."""
        done = subprocess.run([self.evaluate, *words], check=True, capture_output=True, text=True)
        return [float(re.search(rf"@\[ IoU={iou} +\| area= +all \| maxDets=100 \] = (\S+)", done.stdout)[1]) for iou in ("0.50:0.95", "0.50")]

    def by(self, detect):
        """The same of detect(picture) -> rows ymin xmin ymax xmax score id."""
        found = []
        for image, record in enumerate(records(shared("data", "raccoon", "test.tfrecord"))):
            picture = decoded(example(record)["image/encoded"][0])
            height, width = picture.shape[:2]
            for ymin, xmin, ymax, xmax, score, label in detect(picture):
                box = [xmin * width, ymin * height, (xmax - xmin) * width, (ymax - ymin) * height]
                found.append({"image_id": image, "category_id": int(label), "bbox": [float(v) for v in box], "score": float(score)})
        with open(self.libdet.path("found.json"), "w", encoding="utf-8") as file:
            json.dump(found, file)
        return self.figures(["--ground_truth", self.libdet.path("report/ground_truth.json"), "--detections", self.libdet.path("found.json")])


def difference(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.size != b.size:
        return float("inf")
    worst = np.abs(a.ravel() - b.ravel()).max() if a.size else 0.0
    return float("inf") if np.isnan(worst) else float(worst)


def detections_agree(got, own, picture):
    """Whether rows [n, 6] are the same but for .1 pixel; rows whose scores are nearly equal may change places."""
    height, width = picture.shape[:2]
    scale = np.array([height, width, height, width])
    if len(got) != len(own):
        return f"{len(got)} detections, libdet has {len(own)}"
    left = list(range(len(own)))
    for row in got:
        for place in left:
            same = row[5] == own[place, 5] and abs(row[4] - own[place, 4]) <= LIMIT
            if same and (np.abs(row[:4] - own[place, :4]) * scale <= PIXELS).all():
                left.remove(place)
                break
        else:
            return f"class {int(row[5])}, score {row[4]:.5f}: libdet has none there"
    return None


class Report:
    def __init__(self):
        self.failures = 0

    def say(self, ok, text):
        print(("  ok    " if ok else "  FAILS ") + text, flush=True)
        self.failures += not ok

    def tell(self, text):
        print("        " + text, flush=True)

    def skip(self, text):
        print("  skipped: " + text, flush=True)

    def end(self):
        sys.exit(1 if self.failures else 0)
