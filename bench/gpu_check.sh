#!/bin/sh
# gpu_check.sh: everything that only a machine with a GPU can tell, in one run: build for its architecture, the tests of kernels and
# backend on the device, compute-sanitizer, timings. Writes bench/results/DATE-GPU.json (or $OUT/gpu-check.json) and says what
# was skipped. Exit status: 0 all passed, 1 something failed, 2 no GPU.
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
failed=0
results=""

# part NAME COMMAND...: runs it, remembers how it ended.
part() {
    name=$1
    shift
    start=$(date +%s)
    if "$@" > "build/gpu-$name.log" 2>&1; then ended=passed; else ended=failed failed=1; tail -30 "build/gpu-$name.log"; fi
    seconds=$(($(date +%s) - start))
    echo "gpu-check: $name $ended in $seconds s"
    results="$results\"$name\": {\"result\": \"$ended\", \"seconds\": $seconds}, "
}
skip() {
    echo "gpu-check: $1 skipped: $2"
    results="$results\"$1\": {\"result\": \"skipped: $2\"}, "
}

mkdir -p build
part build make -s -j"$(nproc)" CUDA=1 CUDA_ARCHS="$arch" all build-cuda-tests
tests=build/release/bin/det-cuda-tests
if [ "$failed" = 0 ]; then
    part tests "$tests"
    if command -v compute-sanitizer >/dev/null; then
        kernels="cuda_bn cuda_dwconv cuda_elementwise cuda_losses cuda_optimizer cuda_postprocess cuda_preprocess cuda_targets cuda_layouts cuda_im2col"
        for tool in memcheck racecheck synccheck initcheck; do
            # shellcheck disable=SC2086
            part "$tool" timeout 240 compute-sanitizer --tool "$tool" --error-exitcode 9 "$tests" $kernels
        done
    else
        skip sanitizer "compute-sanitizer is not installed"
    fi
    part bench sh -c "build/release/bin/bench_cuda > build/gpu-bench.jsonl"
    [ -s build/gpu-bench.jsonl ] && cat build/gpu-bench.jsonl
fi
{
    printf '{"gpu": "%s", "sm": %s, "driver": "%s", "parts": {%s"end": {}}, "timings": [\n' "$gpu" "$arch" "$driver" "$results"
    [ -s build/gpu-bench.jsonl ] && sed '$!s/$/,/' build/gpu-bench.jsonl
    printf ']}\n'
} > "$file"
echo "gpu-check: wrote $file"
exit "$failed"
