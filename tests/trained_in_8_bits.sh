#!/bin/bash
# trained_in_8_bits.sh BUILD raccoons SHARED | vehicles [STEPS] [SEEDS]: what training in 8 bits costs in AP: fine-tuning with and without
# graph_rewriter, over so many seeds: raccoons from TensorFlow's own training in SHARED, or the demo's vehicles from data/vehicles.det,
# evaluated on 200 scenes. Prints AP of float32 and of 8 bits of each run, and fails when the mean of the 8-bit models that were trained so
# is lower than that of float32 trained alike by more than .001.
set -euo pipefail
build=$1 data=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Both learn with a tenth of the rate that the whole training began with.
case $data in
raccoons)
    shared=$(realpath "$1") && shift
    train=$shared/data/raccoon/train.tfrecord test=$shared/data/raccoon/test.tfrecord steps=${1:-150}
    sed -e "s|\.\./\.\./data/imagenet_backbone/ckpt-1|$shared/goldens/trained_raccoon/ckpt-2|" \
        -e 's|fine_tune_checkpoint_type: "detection"|fine_tune_checkpoint_type: "full"|' -e "s|\.\./\.\./data|$shared/data|" \
        -e 's|learning_rate_base: 0.04|learning_rate_base: 0.004|' -e 's|warmup_learning_rate: 0.013333|warmup_learning_rate: 0.0013333|' \
        "$shared/goldens/trained_raccoon/pipeline.config" ;;
vehicles)
    train=$work/demo/annotations/train.tfrecord test=$work/demo/annotations/test.tfrecord steps=${1:-150}
    "$build/bin/det-demo-data" "$work/demo" --test 200 --seed 99 --weights data/vehicles.det > "$work/demo.log"
    sed -e "s|\.\./\.\./|$work/demo/|" \
        -e 's|learning_rate_base: 0.01|learning_rate_base: 0.001|' -e 's|warmup_learning_rate: 0.002|warmup_learning_rate: 0.0002|' \
        "$work/demo/models/demo/pipeline.config" ;;
*)
    echo "trained_in_8_bits.sh: $data: expected raccoons or vehicles" >&2
    exit 2 ;;
esac > "$work/float32.config"
seeds=${2:-3}
sed -i -E -e "s/(num|total)_steps: [0-9]+/\1_steps: $steps/" -e 's/warmup_steps: [0-9]+/warmup_steps: 10/' "$work/float32.config"
{ cat "$work/float32.config"; echo 'graph_rewriter { quantization { delay: 20 weight_bits: 8 activation_bits: 8 } }'; } > "$work/int8.config"

# run NAME SEED: prints AP of float32 and of 8 bits, and AP50 of both.
run() {
    local model=$work/$1-$2 pictures=()
    [ "$1" = int8 ] || pictures=(--calibration "$train")
    "$build/bin/det-train" --pipeline_config_path "$work/$1.config" --model_dir "$model" --seed "$2" --checkpoint_every_n 0 > "$model.log" 2>&1
    "$build/bin/det-export" --pipeline_config_path "$work/$1.config" --trained_checkpoint_dir "$model" --output_directory "$model.out" \
        --precision int8 "${pictures[@]}" --eval "$test" --max_drop 1 --json "$model.json" > "$model.txt" 2>&1
    for figure in ap_float32 ap ap50_float32 ap50; do
        sed -n 's/^.*"int8": .*"'$figure'": \([0-9.]*\).*$/\1/p' "$model.json"
    done | xargs printf '%.4f %.4f %.3f %.3f\n'
}

for ((seed = 1; seed <= seeds; seed++)); do
    for name in int8 float32; do
        read -r before after before50 after50 < <(run $name $seed)
        echo "$name seed $seed: AP $before in float32, $after in 8 bits; AP50 $before50, $after50"
    done
done | tee "$work/table"
awk '$1 == "int8" { trained += $8 } $1 == "float32" { alone += $5; after += $8 }
     END { n = '"$seeds"'; printf "mean AP: float32 %.4f, 8 bits after training %.4f, trained in 8 bits %.4f\n", alone / n, after / n, trained / n
           exit alone / n - trained / n > .001 }' "$work/table"
