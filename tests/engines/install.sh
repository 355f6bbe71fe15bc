#!/bin/bash
# install.sh [DIR]: a Python environment with the engines of requirements.txt (default build/engines), some 1 GB. Says so and ends with 77 where there is no Python or no PyPI.
set -euo pipefail
here=$(dirname "$0")
folder=${1:-build/engines}
if cmp -s "$here/requirements.txt" "$folder/requirements.txt"; then
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
# The Task Library (Python up to 3.11) and MediaPipe want packages of their own: left out where they cannot be had.
if python3 -m venv "$folder/task" >/dev/null 2>&1; then
    "$folder/task/bin/pip" install --quiet --disable-pip-version-check mediapipe==1.2.3 >>"$folder/install.log" 2>&1 || true
    "$folder/task/bin/pip" install --quiet --disable-pip-version-check pybind11==3.1.0 protobuf==3.20.3 >>"$folder/install.log" 2>&1 || true
    "$folder/task/bin/pip" install --quiet --disable-pip-version-check --no-deps tflite-support==0.4.4 >>"$folder/install.log" 2>&1 || true
fi
cp "$here/requirements.txt" "$folder/requirements.txt"
