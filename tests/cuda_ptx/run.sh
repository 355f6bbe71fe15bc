#!/usr/bin/env bash
# Runs the tests on nvcc's PTX, as many at once as there are processors. usage: run.sh RUNNER "ARCHS" "RUNS": 75, 80, 90; whole, kernels, disturbed.
# A run's output stays in RUNNER-ARCH-NAME.log; the first that fails shows its end.
set -euo pipefail
export runner=$1
archs=$2 runs=$3

# Names of groups begin so.
export kernels="cuda_ptx cuda_emu cuda_bn cuda_checksum cuda_conv cuda_dwconv cuda_elementwise cuda_fake_quant cuda_im2col cuda_layouts cuda_losses cuda_optimizer cuda_pictures cuda_postprocess cuda_preprocess =test_cuda_q8 cuda_q8_conv cuda_targets cuda_weight_gradient"
export whole="cuda_step cuda_rounding cuda_runner cuda_staging cuda_picture_steps cuda_jobs cuda_q8_net cuda_measurer"

# The longest of these groups runs the kernels of one file alone: an architecture for which nvcc says the same there as for one before it
# has nothing of its own to show. kernels_of ARCH EARLIER...
kernels_of() {
    local arch=$1 folder=${runner%/*}/../ptx/kernels
    local file=$folder/postprocess.sm_$arch.ptx
    shift
    for earlier; do
        if [ -s "$file" ] && cmp -s <(grep -v '^\.target' "$file") <(grep -v '^\.target' "$folder/postprocess.sm_$earlier.ptx"); then
            echo "sm_$arch: the PTX of kernels/postprocess.cu is sm_$earlier's" >&2
            echo "${kernels/ cuda_postprocess / }"
            return
        fi
    done
    echo "$kernels"
}

# one ARCH NAME GROUPS SCHEDULE [SETTING]: NAME=VALUE for the translation
one() {
    local log=$runner-sm_$1-$2.log begin=$SECONDS
    # shellcheck disable=SC2086 # a word a group
    if ! env DET_PTX_ARCH="$1" DET_EMU_SCHEDULE="$4" "${@:5}" "$runner" -j 1 ${!3} >"$log" 2>&1; then
        tail -40 "$log"
        echo "sm_$1 $2: FAILED, see $log"
        return 255
    fi
    echo "sm_$1 $2: $(tail -n1 "$log"), $((SECONDS - begin)) s"
}
export -f one

earlier=()
for arch in $archs; do
    export "kernels_$arch=$(kernels_of "$arch" "${earlier[@]}")"
    earlier+=("$arch")
done

for run in $runs; do
    for arch in $archs; do
        case $run in
        whole) echo "$arch whole whole forward" ;;
        kernels)
            for schedule in forward backward random:1 random:2; do
                echo "$arch kernels-$schedule kernels_$arch $schedule"
            done
            ;;
        disturbed) echo "$arch disturbed kernels_$arch forward DET_PTX_ULPS=2 DET_PTX_CONTRACT=1" ;;
        *)
            echo "$run: expected whole, kernels or disturbed" >&2
            exit 2
            ;;
        esac
    done
done | xargs -r -P"$(nproc)" -L1 bash -c 'one "$@"' one
