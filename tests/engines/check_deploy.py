"""The programs of docs/deploy*.md, built and run on pictures: each must print det-detect's detections."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import cv2
import numpy as np

import common

# What a program is called with.
MODELS = {
    "MODEL": ("onnx", {"outputs": common.DETECTIONS, "input": common.IMAGE}),
    "DECODED": ("onnx", {"outputs": common.DECODED, "input": common.FLOAT_NCHW, "onnx_opset": 10}),
    "NCNN": ("ncnn", {}),
    "TFLITE": ("tflite", {}),
}
OPENCV = "/usr/include/opencv4"  # of Debian's libopencv-dnn-dev and libopencv-imgcodecs-dev


def programs():
    """(page, file name, words, text) of each block behind <!-- run: FILE WORDS -->."""
    for page in sorted(glob.glob("docs/deploy*.md")):
        with open(page, encoding="utf-8") as file:
            text = file.read()
        for name, words, body in re.findall(r"<!-- run: (\S+) (.*?) -->\n```\w+\n(.*?)```", text, re.S):
            yield page, name, words.split(), body


def onnxruntime_headers():
    """The folder of onnxruntime_c_api.h: the system's, or what install.sh has brought; None."""
    brought = os.path.join(os.path.dirname(os.path.dirname(sys.executable)), "headers")
    folders = [os.environ.get("ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime")]
    folders += map(os.path.dirname, glob.glob(os.path.join(brought, "**", "onnxruntime_c_api.h"), recursive=True))
    return next((folder for folder in folders if os.path.exists(os.path.join(folder, "onnxruntime_c_api.h"))), None)


def command(libdet, name, source):
    """How the program is started; None where that cannot be, and why."""
    if name.endswith(".py"):
        return [sys.executable, source], None
    program = source + ".bin"
    if name.endswith(".cpp"):
        if shutil.which("c++") is None or not os.path.exists(os.path.join(OPENCV, "opencv2", "dnn.hpp")):
            return None, "no OpenCV for C++ (libopencv-dnn-dev, libopencv-imgcodecs-dev)"
        build = ["c++", "-I", OPENCV, source, "-lopencv_dnn", "-lopencv_imgcodecs", "-lopencv_core"]
    else:
        import onnxruntime

        folder = onnxruntime_headers()
        if folder is None:
            return None, "no onnxruntime_c_api.h: not in ONNXRUNTIME_INCLUDE, and the package with it cannot be had from PyPI"
        library = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so.*"))[0]
        os.symlink(library, libdet.path("libonnxruntime.so.1"))
        build = ["cc", "-I", folder, source, library, "-Wl,-rpath," + libdet.folder.name]
    subprocess.run([*build, "-Wall", "-Wextra", "-Werror", "-o", program], check=True)
    return [program], None


class Pictures:
    """A model's exported files, and pictures with what det-detect finds in them."""

    def __init__(self, libdet, build, name, model, pictures):
        self.words = []  # of each picture
        self.wanted = []  # [(score, box in shares, id, class)]
        files = {}
        for word, (kind, settings) in MODELS.items():
            file = libdet.export(model, kind, f"{name}-{word.lower()}", **settings)
            files[word] = os.path.join(file.folder, f"{file.name}.{'param' if kind == 'ncnn' else kind}")
        for number, pixels in enumerate(pictures):
            # Without loss: every decoder has the same pixels.
            paths = {"PICTURE": libdet.path(f"{name}-{number}.png"), "PPM": libdet.path(f"{name}-{number}.ppm"), "OUT": libdet.path("out.png")}
            cv2.imwrite(paths["PICTURE"], pixels[:, :, ::-1])
            cv2.imwrite(paths["PPM"], pixels[:, :, ::-1])
            done = subprocess.run([os.path.join(build, "bin", "det-detect"), model, paths["PICTURE"], "--threshold", "0.5", "--quiet"], check=True, capture_output=True, text=True)
            found = json.loads(done.stdout)["detections"]
            self.words.append({**files, **paths})
            self.wanted.append([(row["score"], row["box"], str(row["class_id"]), row["class"]) for row in found])
        self.sizes = [np.array([pixels.shape[0], pixels.shape[1]] * 2) for pixels in pictures]

    def fault(self, number, text):
        """What a program has printed that det-detect has not found; None."""
        left = list(self.wanted[number])
        for line in text.splitlines():
            label, score, *box = line.rsplit(maxsplit=5)
            for own in left:
                same = label in own[2:] and abs(float(score) - own[0]) <= 0.001
                if same and (np.abs(np.array(box, float) - own[1]) * self.sizes[number] <= common.PIXELS).all():
                    left.remove(own)
                    break
            else:
                return f"det-detect has no `{line}`: {self.wanted[number]}"
        return f"det-detect has {left}, too" if left else None


def demo_pictures(libdet, build):
    subprocess.run([os.path.join(build, "bin", "det-demo-data"), libdet.path("demo"), "--train", "1", "--test", "2"], check=True, capture_output=True)
    return [cv2.imread(path)[:, :, ::-1] for path in sorted(glob.glob(libdet.path("demo/images/test/*.jpg")))]


def main():
    options = common.arguments(__doc__)
    libdet = common.Libdet(options.build)
    report = common.Report()
    sets = [Pictures(libdet, options.build, "vehicles", os.path.abspath("data/vehicles.det"), demo_pictures(libdet, options.build))]
    if common.shared("goldens", "trained_raccoon") is not None:
        records = list(common.records(common.shared("data", "raccoon", "test.tfrecord")))[:3]
        photographs = [common.decoded(common.example(record)["image/encoded"][0]) for record in records]
        sets.append(Pictures(libdet, options.build, "raccoon", common.Raccoons(libdet, options.build).model, photographs))
    for page, name, arguments, text in programs():
        with open(libdet.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        start, reason = command(libdet, name, libdet.path(name))
        if start is None:
            report.skip(f"{page}, {name}: {reason}")
            continue
        fault, count = None, 0
        for pictures in sets:
            for number, words in enumerate(pictures.words):
                done = subprocess.run([*start, *(words[word] for word in arguments)], capture_output=True, text=True, check=False)
                fault = fault or (done.stderr[-1000:] if done.returncode else pictures.fault(number, done.stdout))
                count += len(pictures.wanted[number])
        report.say(fault is None and count > 0, f"{page}, {name}: {fault or f'{count} detections, as det-detect has them'}")
    report.end()


main()
