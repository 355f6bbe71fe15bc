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
cp "$here/requirements.txt" "$folder/requirements.txt"
