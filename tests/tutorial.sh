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
short "--data my_data --model_dir my_run" "--data my_data --model_dir my_run --size 96 --num_train_steps 3 --eval_every 3 --log_every 1 --batch_size 2 --pictures_every 0"
short "det-data init my_data --output training_demo" "det-data init my_data --output training_demo --size 96 --batch_size 2"
short "--eval_every 100 --set train_config.num_steps=300" "--eval_every 3 --pictures_every 0 --set train_config.num_steps=3"
short "cosine_decay_learning_rate.total_steps=300" "cosine_decay_learning_rate.total_steps=3 --set train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate.warmup_steps=1"
# Three steps find next to nothing: each picture has some box below the threshold.
short "--threshold_file my_run/final/report/thresholds.json" "--threshold 0.001"

cd "$folder"
printf 'PS4="tutorial> "\nset -euxo pipefail\n%s\n' "$commands" > commands.sh
bash commands.sh > output.log 2>&1 || { tail -40 output.log >&2; echo "tutorial.sh: a command of docs/tutorial.md failed" >&2; exit 1; }

# What a reader is told to find.
expect() {
    grep -q -e "$1" "$2" || { tail -40 output.log >&2; echo "tutorial.sh: $2 lacks: $1" >&2; exit 1; }
}
expect 'name: "truck"' training_demo/annotations/label_map.pbtxt
expect '^0 errors' output.log
expect '^Next: det-detect my_run/model.det PICTURES --output my_run/detected' output.log
expect 'Average Precision  (AP) @\[ IoU=0.50:0.95' output.log
expect '"car": 0\.' my_run/final/report/thresholds.json
expect '</svg>' my_run/final/report/pr_curves.svg
expect '</svg>' my_run/final/report/confusion.svg
expect '^1,.*,eval_exported,exported,' my_run/results.csv
expect '^1,.*,eval_exported,exported,' my_run/final/results.csv
expect '"how": "finished"' my_run/run.json
expect '"detections":\[{' detections.jsonl
expect 'num_steps: 3$' training_demo/models/my/pipeline.config
for file in my_run/report.html sheet.png augmented.png my_run/model.det training_demo/exported-models/my/model.det training_demo/exported-models/my/model.onnx; do
    [ -s "$file" ] || { echo "tutorial.sh: $file is missing" >&2; exit 1; }
done
[ "$(find detected -name '*.jpg' | wc -l)" = 5 ] || { echo "tutorial.sh: annotated pictures are missing" >&2; exit 1; }
# What was evaluated once more has left the training's rows alone.
[ "$(grep -c ',eval_exported,' my_run/results.csv)" = 1 ] || { echo "tutorial.sh: the training's figures were touched" >&2; exit 1; }
echo "tutorial: $(grep -c '^tutorial> ' output.log) commands, all as docs/tutorial.md says"
