#!/bin/bash
# install.sh [DIR]: the peers of bench/peers in a folder of their own (default .peers), some 5 GB. Nothing of libdet needs them.
set -euo pipefail
here=$(dirname "$0")
python3 -m pip install --target "${1:-.peers}" -r "$here/requirements.txt"
