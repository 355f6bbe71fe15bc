#!/usr/bin/env bash
# Runs the commands of docs/tutorial.md (its ```sh blocks; those marked ```sh skip are left out) in a short version, from a
# folder that looks like a clone. Usage: tests/tutorial.sh [BUILD] [FOLDER], by default build/release and a temporary folder.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(realpath "${1:-$root/build/release}")
if [ -n "${2:-}" ]; then
    mkdir -p "$2"
    folder=$(cd "$2" && pwd)
else
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder/build"
ln -sfn "$build" "$folder/build/release"
ln -sfn "$root/data" "$folder/data"

# Fewer pictures and steps; each substitution must find its place, so that a changed tutorial is noticed.
commands=$(awk '/^```sh$/ {inside = 1; next} /^```/ {inside = 0} inside' "$root/docs/tutorial.md")
short() {
    case "$commands" in
    *"$1"*) commands=${commands//"$1"/"$2"} ;;
    *) echo "tutorial.sh: docs/tutorial.md no longer says: $1" >&2; exit 1 ;;
    esac
}
short "--train 300 --test 60" "--train 20 --test 5"
short "--num_train_steps 300 --eval_every 100 --log_every 20" "--num_train_steps 3 --eval_every 3 --log_every 1 --batch_size 2 --pictures_every 0"

cd "$folder"
printf 'PS4="tutorial> "\nset -euxo pipefail\n%s\n' "$commands" > commands.sh
bash commands.sh > output.log 2>&1 || { tail -40 output.log >&2; echo "tutorial.sh: a command of docs/tutorial.md failed" >&2; exit 1; }

# What a reader is told to find.
expect() {
    grep -q -e "$1" "$2" || { tail -40 output.log >&2; echo "tutorial.sh: $2 lacks: $1" >&2; exit 1; }
}
expect 'name: "truck"' training_demo/annotations/label_map.pbtxt
expect '^0 errors' output.log
expect 'Average Precision  (AP) @\[ IoU=0.50:0.95' output.log
expect '"car": 0\.' training_demo/report/thresholds.json
expect '</svg>' training_demo/report/pr_curves.svg
expect '</svg>' training_demo/report/confusion.svg
expect '^1,.*,eval_exported,exported,' training_demo/models/my_ssd/results.csv
expect '"detections":\[{' training_demo/detections.jsonl
for file in training_demo/models/my_ssd/report.html training_demo/sheet.png training_demo/augmented.png training_demo/exported-models/my_ssd/model.det; do
    [ -s "$file" ] || { echo "tutorial.sh: $file is missing" >&2; exit 1; }
done
[ "$(find training_demo/annotated -name '*.jpg' | wc -l)" = 5 ] || { echo "tutorial.sh: annotated pictures are missing" >&2; exit 1; }
echo "tutorial: $(grep -c '^tutorial> ' output.log) commands, all as docs/tutorial.md says"
