"""The programs of docs/deploy*.md, built and run on a picture of the demo: each must print det-detect's detections."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import common

# What a program is called with.
MODELS = {
    "MODEL": ("onnx", {"outputs": common.DETECTIONS, "input": common.IMAGE}),
    "DECODED": ("onnx", {"outputs": common.DECODED, "input": common.FLOAT_NCHW}),
    "NCNN": ("ncnn", {}),
}


def programs():
    """(page, file name, words, text) of each block behind <!-- run: FILE WORDS -->."""
    for page in sorted(glob.glob("docs/deploy*.md")):
        with open(page, encoding="utf-8") as file:
            text = file.read()
        for name, words, body in re.findall(r"<!-- run: (\S+) (.*?) -->\n```\w+\n(.*?)```", text, re.S):
            yield page, name, words.split(), body


def command(libdet, name, source):
    """How the program is started; None where that cannot be, and why."""
    if name.endswith(".py"):
        return [sys.executable, source], None
    program = source + ".bin"
    if name.endswith(".cpp"):
        # 4.6 does not take Clip of opset 13.
        if shutil.which("pkg-config") is None or subprocess.run(["pkg-config", "--atleast-version=4.7", "opencv4"], check=False).returncode:
            return None, "no OpenCV for C++ of 4.7 or later"
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "opencv4"], check=True, capture_output=True, text=True).stdout.split()
        build = ["c++", "-std=c++17", "-Wall", "-Werror", source, "-o", program, *flags]
    else:
        folder = os.environ.get("ONNXRUNTIME_INCLUDE", "/usr/include/onnxruntime")
        if not os.path.exists(os.path.join(folder, "onnxruntime_c_api.h")):
            return None, "no onnxruntime_c_api.h in ONNXRUNTIME_INCLUDE"
        import onnxruntime

        library = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so.*"))[0]
        os.symlink(library, libdet.path("libonnxruntime.so.1"))
        build = ["cc", "-std=c11", "-Wall", "-Werror", "-I", folder, source, library, "-Wl,-rpath," + libdet.folder.name, "-o", program]
    subprocess.run(build, check=True)
    return [program], None


def rows(text):
    """score and box of each line; what stands before is the label."""
    return sorted(([float(word) for word in line.split()[-5:]] for line in text.splitlines()), reverse=True)


def main():
    options = common.arguments(__doc__)
    libdet = common.Libdet(options.build)
    report = common.Report()
    binaries = os.path.join(os.path.abspath(options.build), "bin")
    subprocess.run([os.path.join(binaries, "det-demo-data"), libdet.path("demo"), "--train", "1", "--test", "1"], check=True, capture_output=True)
    picture = glob.glob(libdet.path("demo/images/test/*.jpg"))[0]
    pixels = common.decoded(open(picture, "rb").read())
    with open(libdet.path("picture.ppm"), "wb") as file:
        file.write(b"P6 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes())
    model = os.path.abspath("data/vehicles.det")
    own = libdet.run(model, pixels)
    wanted = sorted(([row[4], *row[:4]] for row in own.detections.tolist() if row[4] >= 0.5), reverse=True)
    words = {"PICTURE": picture, "PPM": libdet.path("picture.ppm")}
    for word, (kind, settings) in MODELS.items():
        file = libdet.export(model, kind, word.lower(), **settings)
        words[word] = os.path.join(file.folder, f"{file.name}.{'param' if kind == 'ncnn' else kind}")
    for page, name, arguments, text in programs():
        if any(word not in words for word in arguments):
            continue
        with open(libdet.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        start, reason = command(libdet, name, libdet.path(name))
        if start is None:
            report.skip(f"{page}, {name}: {reason}")
            continue
        done = subprocess.run([*start, *(words[word] for word in arguments)], capture_output=True, text=True, check=False)
        found = rows(done.stdout)
        # OpenCV interpolates in steps of 1/32 pixel.
        same = len(found) == len(wanted) and all(abs(a - b) <= 0.005 for left, right in zip(found, wanted) for a, b in zip(left, right))
        report.say(done.returncode == 0 and same and len(wanted) > 0, f"{page}, {name}: {len(found)} of {len(wanted)} detections" + ("" if same else "\n" + done.stdout + done.stderr + json.dumps(wanted)))
    report.end()


main()
