#!/bin/bash
# trained_in_8_bits.sh BUILD SHARED [STEPS] [SEEDS]: what training in 8 bits costs in AP: raccoons, fine-tuned from TensorFlow's own training in
# SHARED with and without graph_rewriter, over so many seeds. Prints AP of float32 and of 8 bits of each run, and fails when the mean of the
# 8-bit models that were trained so is lower than that of float32 trained alike by more than .001.
set -euo pipefail
build=$1 shared=$(realpath "$2") steps=${3:-150} seeds=${4:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# config NAME: of the training, by its own file; with 8 bits after 20 steps where NAME says so.
config() {
    sed -e "s|\.\./\.\./data/imagenet_backbone/ckpt-1|$shared/goldens/trained_raccoon/ckpt-2|" \
        -e 's|fine_tune_checkpoint_type: "detection"|fine_tune_checkpoint_type: "full"|' \
        -e "s|\.\./\.\./data|$shared/data|" -e "s|num_steps: 600|num_steps: $steps|" -e "s|total_steps: 600|total_steps: $steps|" \
        -e 's|learning_rate_base: 0.04|learning_rate_base: 0.004|' -e 's|warmup_learning_rate: 0.013333|warmup_learning_rate: 0.0013333|' \
        -e 's|warmup_steps: 50|warmup_steps: 10|' "$shared/goldens/trained_raccoon/pipeline.config"
    if [ "$1" = int8 ]; then
        echo 'graph_rewriter { quantization { delay: 20 weight_bits: 8 activation_bits: 8 } }'
    fi
}

# run NAME SEED: prints AP of float32 and of 8 bits.
run() {
    local model=$work/$1-$2 pictures=()
    [ "$1" = int8 ] || pictures=(--calibration "$shared/data/raccoon/train.tfrecord")
    config "$1" > "$work/$1.config"
    "$build/bin/det-train" --pipeline_config_path "$work/$1.config" --model_dir "$model" --seed "$2" --checkpoint_every_n 0 > "$model.log" 2>&1
    "$build/bin/det-export" --pipeline_config_path "$work/$1.config" --trained_checkpoint_dir "$model" --output_directory "$model.out" \
        --precision int8 "${pictures[@]}" --eval "$shared/data/raccoon/test.tfrecord" --max_drop 1 > "$model.txt" 2>&1
    awk '$1 == "all" { print $2, $3 }' "$model.txt"
}

for ((seed = 1; seed <= seeds; seed++)); do
    for name in int8 float32; do
        read -r before after < <(run $name $seed)
        echo "$name seed $seed: AP $before in float32, $after in 8 bits"
    done
done | tee "$work/table"
awk '$1 == "int8" { trained += $8 } $1 == "float32" { alone += $5; after += $8 }
     END { n = '"$seeds"'; printf "mean AP: float32 %.4f, 8 bits after training %.4f, trained in 8 bits %.4f\n", alone / n, after / n, trained / n
           exit alone / n - trained / n > .001 }' "$work/table"
