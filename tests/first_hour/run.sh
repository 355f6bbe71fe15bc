#!/usr/bin/env bash
# The first hour of somebody with an archive of labelled pictures: from zip to annotated pictures in three commands, for labelImg,
# Roboflow (COCO and YOLO) and CVAT. Usage: tests/first_hour/run.sh [--long RECORDS TEST_RECORDS WEIGHTS] [BUILD], by default
# build/release and scenes of det-demo-data at a small size; --long: the commands as they are, on records of the user's own, with
# AP as a table. Each archive is as that program writes it (make_sources.py).
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here="$root/tests/first_hour"
long=
if [ "${1:-}" = --long ]; then
    long=1 train_records=$(realpath "$2") test_records=$(realpath "$3") weights=$4
    case "$weights" in /*) ;; *) weights="$PWD/$weights" ;; esac
    shift 4
fi
export PATH="$(realpath "${1:-$root/build/release}")/bin:$PATH"
if ! command -v python3 > /dev/null; then
    echo "first hour: skipped, no python3 to make the archives"
    exit 0
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() { tail -30 ./*.log >&2; echo "first hour: $*" >&2; exit 1; }

if [ -n "$long" ]; then
    options=()
    least=${DET_LEAST_AP50:-0.5}
else
    det-demo-data demo --train 60 --test 10 --weights "$root/data/vehicles.det" > make.log 2>&1 || fail "no scenes"
    train_records=demo/annotations/train.tfrecord test_records=demo/annotations/test.tfrecord weights="$root/data/vehicles.det"
    # The heads are kept: what they know of cars, trucks and buses shows whether boxes and classes were read right.
    options=(--size 256 --batch_size 4 --num_train_steps 30 --eval_every 15 --noeval_api --set train_config.fine_tune_checkpoint_type=fine_tune)
    least=0.5
fi
det-data convert train="$train_records" --to coco --output coco > make.log 2>&1 || fail "no archives"
det-data convert test="$test_records" --to coco --output new >> make.log 2>&1 || fail "no new pictures"
python3 "$here/make_sources.py" coco archives
mv new/test new_pictures # never seen in training

# Of the exported model, on the archive's own test part: the best row of results.csv.
best() { awk -F, -v column="$1" 'NR == 1 {for (i = 1; i <= NF; i++) {gsub(/"/, "", $i); if ($i == column) at = i; if ($i == "run") run = i}; next}
    $run == "eval_exported" && $at + 0 > best {best = $at + 0} END {printf "%.3f", best}' "$2/results.csv"; }

printf '%-14s %8s %8s %10s %8s\n' source AP AP50 annotated seconds
for archive in archives/*.zip; do
    source=$(basename "$archive" .zip) begun=$SECONDS
    # The three commands.
    det-train --data "$archive" --model_dir "$source" --fine_tune_checkpoint "$weights" "${options[@]}" > "$source.log" 2>&1 ||
        fail "$source: det-train --data"
    det-eval --pipeline_config_path "$source/pipeline.config" --checkpoint_dir "$source" --once --form exported --report_dir "$source/report" >> "$source.log" 2>&1 ||
        fail "$source: det-eval"
    det-detect "$source/model.det" new_pictures --threshold_file "$source/report/thresholds.json" --output "$source/detected" --json "$source/detected.jsonl" >> "$source.log" 2>&1 ||
        fail "$source: det-detect"

    grep -q "^Next: det-detect $source/model.det PICTURES --output $source/detected$" "$source.log" || fail "$source: the next command is not told"
    pictures=$(find new_pictures -type f | wc -l)
    [ "$(find "$source/detected" -type f | wc -l)" = "$pictures" ] || fail "$source: not every picture is annotated"
    # Boxes are drawn where something was found: the pictures are others then.
    with_boxes=$(grep -c '"detections":\[{' "$source/detected.jsonl" || true)
    [ "$with_boxes" -gt 0 ] || fail "$source: nothing was found in any picture"
    ap50=$(best mAP@.50IOU "$source")
    awk -v a="$ap50" -v b="$least" 'BEGIN {exit !(a >= b)}' || fail "$source: AP50 is $ap50, expected $least or more"
    printf '%-14s %8s %8s %10s %8s\n' "$source" "$(best mAP "$source")" "$ap50" "$with_boxes/$pictures" "$((SECONDS - begun))"
    # The same command has nothing left to do, and says where the model is.
    det-train --data "$archive" --model_dir "$source" > again.log 2>&1 || fail "$source: the command again"
    grep -q "^Model: $source/model.det" again.log || fail "$source: the command again does not name the model"
done
