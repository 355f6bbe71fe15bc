#!/bin/bash
# run.sh BUILD [FORMAT ...]: replays exported files of these formats (default: all that have a check_FORMAT.py) in other engines. CHECKS="..." is handed to each check (see their --help).
set -euo pipefail
here=$(dirname "$0")
build=$1
shift
engines=${ENGINES:-build/engines}
status=0
"$here/install.sh" "$engines" || { [ $? -eq 77 ] && exit 0; exit 1; }
if [ $# -eq 0 ]; then
    for check in "$here"/check_*.py; do
        name=$(basename "$check" .py)
        set -- "$@" "${name#check_}"
    done
fi
for format in "$@"; do
    echo "== $format"
    # shellcheck disable=SC2086 # CHECKS is a list of words
    "$engines/bin/python" "$here/check_$format.py" --build "$build" ${CHECKS:-} || status=1
done
exit $status
