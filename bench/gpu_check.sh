#!/bin/sh
# gpu_check.sh: everything that only a machine with a GPU can tell, in one run: build for its architecture, the tests of kernels and
# backend on the device, the goldens, compute-sanitizer, and the roofline's table measured, with cuDNN alone beside it. Writes
# bench/results/DATE-GPU.json (or $OUT/gpu-check.json) and says what was skipped. Exit status: 0 all passed, 1 something
# failed, 2 no GPU. BENCH_ARGUMENTS are bench_cuda's.
set -u
cd "$(dirname "$0")/.."
command -v nvidia-smi >/dev/null && gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1) && [ -n "$gpu" ] || {
    echo "gpu-check: no GPU here"
    exit 2
}
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)
echo "gpu-check: $gpu, sm_$arch, driver $driver"
file=${OUT:+$OUT/gpu-check.json}
[ -n "$file" ] || { mkdir -p bench/results; file="bench/results/$(date +%F)-$(echo "$gpu" | tr ' /' '--').json"; }
programs=${DET_GPU_BIN:-build/release/bin}
logs=${OUT:-build}
mkdir -p "$logs"
failed=0
results=""

# part NAME COMMAND...: runs it, remembers how it ended.
part() {
    name=$1
    shift
    start=$(date +%s)
    if "$@" > "$logs/gpu-$name.log" 2>&1; then ended=passed; else ended=failed failed=1; tail -30 "$logs/gpu-$name.log"; fi
    seconds=$(($(date +%s) - start))
    echo "gpu-check: $name $ended in $seconds s"
    results="$results\"$name\": {\"result\": \"$ended\", \"seconds\": $seconds}, "
}
skip() {
    echo "gpu-check: $1 skipped: $2"
    results="$results\"$1\": {\"result\": \"skipped: $2\"}, "
}

export BENCH_FILE="$logs/gpu-bench.jsonl"
rm -f "$BENCH_FILE"
part build make -s -j"$(nproc)" CUDA=1 CUDA_ARCHS="$arch" all build-cuda-tests
tests=$programs/det-cuda-tests
if [ "$failed" = 0 ]; then
    part tests "$tests"
    part goldens "$tests" cuda_goldens
    if command -v compute-sanitizer >/dev/null; then
        kernels="cuda_bn cuda_dwconv cuda_elementwise cuda_losses cuda_optimizer cuda_postprocess cuda_preprocess cuda_targets cuda_layouts cuda_im2col cuda_staging"
        for tool in memcheck racecheck synccheck initcheck; do
            # shellcheck disable=SC2086
            part "$tool" timeout 240 compute-sanitizer --tool "$tool" --error-exitcode 9 "$tests" $kernels
        done
    else
        skip sanitizer "compute-sanitizer is not installed"
    fi
    # shellcheck disable=SC2086
    part bench sh -c '"$0" "$@" > "$BENCH_FILE"' "$programs/bench_cuda" ${BENCH_ARGUMENTS:-}
else
    skip tests "the build failed"
fi
{
    printf '{"gpu": "%s", "sm": %s, "driver": "%s", "parts": {%s"end": {"result": "%s"}}, "timings": [\n' "$gpu" "$arch" "$driver" "$results" "$([ "$failed" = 0 ] && echo passed || echo failed)"
    [ -s "$logs/gpu-bench.jsonl" ] && sed '$!s/$/,/' "$logs/gpu-bench.jsonl"
    printf ']}\n'
} > "$file"
grep '"whole"' "$file"
echo "gpu-check: wrote $file"
exit "$failed"
