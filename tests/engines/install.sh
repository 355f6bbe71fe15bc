#!/bin/bash
# install.sh [DIR]: a Python environment with the engines of requirements.txt (default build/engines), some 1 GB. Says so and ends with 77 where there is no Python or no PyPI.
set -euo pipefail
here=$(dirname "$0")
folder=${1:-build/engines}
if cat "$here/requirements.txt" "$here/install.sh" | cmp -s - "$folder/installed"; then
    exit 0
fi
if ! python3 -m venv "$folder" >/dev/null 2>&1; then
    echo "skipped: no Python with venv here"
    exit 77
fi
if ! "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >"$folder/install.log" 2>&1; then
    echo "skipped: the engines cannot be had from PyPI ($folder/install.log)"
    exit 77
fi
# What wants packages of its own, or its files alone, is left out where it cannot be had.
extra() {
    "$@" >>"$folder/install.log" 2>&1 || true
}
# onnxruntime has its library without a header: this package carries one, older, which the library takes.
extra "$folder/bin/pip" install --quiet --disable-pip-version-check --upgrade --no-deps --target "$folder/headers" amd-quark==0.13
# The Task Library (Python up to 3.11) and MediaPipe.
if python3 -m venv "$folder/task" >/dev/null 2>&1; then
    extra "$folder/task/bin/pip" install --quiet --disable-pip-version-check mediapipe==1.2.3
    extra "$folder/task/bin/pip" install --quiet --disable-pip-version-check pybind11==3.1.0 protobuf==3.20.3
    extra "$folder/task/bin/pip" install --quiet --disable-pip-version-check --no-deps tflite-support==0.4.4
fi
# Arm's compiler for the Ethos-U.
if python3 -m venv "$folder/vela" >/dev/null 2>&1; then
    extra "$folder/vela/bin/pip" install --quiet --disable-pip-version-check ethos-u-vela==5.2.0
fi
cat "$here/requirements.txt" "$here/install.sh" >"$folder/installed"
