#!/bin/sh
# gpu_demo.sh PROGRAMS FOLDER: the main job as a person does it, on a GPU: scenes are drawn, a model learns from data/vehicles.det for 300
# steps, is evaluated, exported, and detects (docs/demo.md). One JSON row a program on stdout, kind "demo", of the evaluation with its AP;
# what the programs say on stderr. Exit status: that of the first that fails; 4: data/vehicles.det or a program is not here.
# DET_DEVICE=cpu tries the script without a GPU.
set -u
cd "$(dirname "$0")/.." || exit 1
programs=$1 demo=$2
export DET_DEVICE="${DET_DEVICE:-cuda}"
for needed in data/vehicles.det "$programs/det-demo-data" "$programs/det-train" "$programs/det-eval" "$programs/det-export" "$programs/det-detect"; do
    [ -r "$needed" ] || { echo "there is no $needed here" >&2 && exit 4; }
done

# step PROGRAM OPTIONS...
step() {
    name=$1 start=$(date +%s)
    shift
    "$programs/$name" "$@" >&2
    status=$?
    more=""
    if [ "$name" = det-eval ] && [ -r "$demo/eval.json" ]; then # the first figures are of all classes
        more=$(sed -n 's/.*"stats": {\("AP": [0-9.]*, "AP50": [0-9.]*\),.*/, \1/p' "$demo/eval.json" | head -1)
    fi
    printf '{"kind": "demo", "part": "%s", "program": "%s", "status": %s, "seconds": %s%s}\n' \
        "${DET_GPU_PART:-demo}" "$name" "$status" "$(($(date +%s) - start))" "$more"
    [ "$status" = 0 ] || exit "$status"
}
config=$demo/models/demo/pipeline.config run=$demo/models/demo/run
step det-demo-data "$demo" --weights data/vehicles.det
step det-train --pipeline_config_path "$config" --model_dir "$run"
step det-eval --pipeline_config_path "$config" --checkpoint_dir "$run" --once --form exported --json "$demo/eval.json"
step det-export --pipeline_config_path "$config" --trained_checkpoint_dir "$run" --output_directory "$demo/exported"
step det-detect "$demo/exported/model.det" "$demo/images/test" --threshold 0.5 --output "$demo/annotated"
