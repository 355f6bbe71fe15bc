#!/bin/sh
# gpu_check.sh [--only PART[,PART]] [--seconds N] [--limit N]: what only a machine with a GPU can tell, most wanted first, in a run that
# may be cut off at any moment: the tests once, whole jobs, single operations, PyTorch, compute-sanitizer, cuDNN (docs/cuda.md).
# With DET_GPU_BIN, a folder of programs (`make gpu-bundle`), it builds nothing; without, it builds for the machine's GPU first.
# Writes bench/results/DATE-GPU.json and build/gpu-check.log, or gpu-check.json and gpu-check.log to $OUT (beside an earlier one with a
# number). Each part has a time limit of its own, or --limit, all of them together --seconds (345); the JSON is written anew every
# second and after every part.
# Exit status: 0 nothing failed, 1 something failed or ran out of time, 2 no GPU or an unknown option.
set -u
cd "$(dirname "$0")/.." || exit 1

usual="tests step-bf16 step-tf32 step-f32 inference-bf16 inference-tf32 inference-f32 launches int8-tests int8-inference demo rows-bf16 rows-tf32 rows-f32 int8-rows torch ranks memcheck racecheck peer-bf16 peer-tf32 peer-f32"
asked="synccheck initcheck batches profile" # only where --only names them
kernels="test_cuda_bn test_cuda_dwconv test_cuda_elementwise test_cuda_losses test_cuda_optimizer test_cuda_postprocess
    test_cuda_preprocess test_cuda_targets test_cuda_layouts test_cuda_im2col test_cuda_weight_gradient
    test_cuda_q8 test_cuda_q8_conv test_cuda_staging"

usage() {
    echo "usage: gpu_check.sh [--only PART[,PART]] [--seconds N] [--limit N]"
    echo "parts: $usual; only when named: $asked. step, inference, int8, rows and peer stand for all that begin so."
    exit 2
} >&2
only="" seconds=345 each=""
while [ $# -gt 1 ]; do
    case $1 in
    --only) only=$2 ;;
    --seconds) seconds=$2 ;;
    --limit) each=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[ $# -eq 0 ] || usage
for number in "$seconds" "${each:-0}"; do
    case $number in '' | *[!0-9]*) usage ;; esac
done
words=$(echo "$only" | tr ',' ' ')
for word in $words; do
    case " $usual $asked " in *" $word "* | *" $word-"*) ;; *) usage ;; esac
done
# wanted PART: whether this run does it.
wanted() {
    [ -n "$words" ] || case " $usual " in *" $1 "*) return 0 ;; *) return 1 ;; esac
    for word in $words; do
        case $1 in "$word" | "$word"-*) return 0 ;; esac
    done
    return 1
}
parts=""
for name in $usual $asked; do
    if wanted "$name"; then parts="$parts $name"; fi
done

gpu=""
if command -v nvidia-smi >/dev/null; then gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader | head -1); fi
if [ -z "$gpu" ]; then
    echo "gpu-check: no GPU here"
    exit 2
fi
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .)
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader | head -1)
gpus=$(nvidia-smi --query-gpu=name --format=csv,noheader | wc -l)
echo "gpu-check: $gpu, sm_$arch, driver $driver; GPUs: $gpus"

if [ -d bin ]; then DET_GPU_BIN=${DET_GPU_BIN:-bin}; fi # this script is the bundle's own
programs=${DET_GPU_BIN:-build/release/bin}
tests=$programs/det-cuda-tests
commit=$(cat "$programs/../commit" 2>/dev/null || git describe --always --dirty 2>/dev/null)
if [ -d "$programs/../shared" ]; then export DET_SHARED="${DET_SHARED:-$programs/../shared}"; fi
file=${OUT:+$OUT/gpu-check}
[ -n "$file" ] || file="bench/results/$(date +%F)-$(echo "$gpu" | tr -c 'A-Za-z0-9.\n' '-')"
number="" # of a run whose file another has already: -2, -3, ...
while [ -e "$file$number.json" ]; do number=$((${number:--1} - 1)); done
file=$file$number.json
log=${OUT:-build}/gpu-check$number.log
mkdir -p "${file%/*}" "${log%/*}" || exit 1
scratch=$(mktemp -d) || exit 1
rows=$scratch/rows
: > "$log"
: > "$rows"

# --- the JSON

failed=0
ended=""            # "name": {...}, of each part that is over
current=""          # the same of the one at work
libraries=""        # "name": "folder", ...
child="" watcher="" reader="" # processes

# Any text as the inside of a JSON string.
text() { printf '%s' "$*" | tr -cd '\040-\176' | sed 's/[\\"]/\\&/g'; }

# Parts that are neither over nor at work.
waiting() {
    for name in $parts; do
        case $ended$current in *"\"$name\": "*) ;; *) printf '"%s": {"result": "not reached"}, ' "$name" ;; esac
    done
}

# write_json RESULT: the whole file, by one rename. A row that a killed program left half written is left out.
write_json() {
    {
        printf '{"commit": "%s", "gpu": "%s", "sm": "%s", "driver": "%s", "libraries": {%s},\n"parts": {%s%s%s"end": {"result": "%s"}},\n"rows": [\n' \
            "$(text "$commit")" "$(text "$gpu")" "$(text "$arch")" "$(text "$driver")" "${libraries%, }" "$ended" "$current" "$(waiting)" "$1"
        grep '^{.*}$' "$rows" | sed '$!s/$/,/'
        printf ']}\n'
    } > "$file.$writer" && mv "$file.$writer" "$file"
}
writer=new # each process has a file of its own to rename

# at_work SECONDS: the part `name` is being done.
at_work() {
    current="\"$name\": {\"result\": \"cut off with the run\", \"seconds\": $1}, "
    write_json unfinished
}

# over RESULT [SECONDS [STATUS]]: the part `name` has ended so; the last line of what did not pass says why.
over() {
    why=""
    [ $# -lt 3 ] || why=", \"status\": $3, \"last\": \"$(text "$(tail -n +"$first" "$log" | tail -n 1 | cut -c1-300)")\""
    ended="$ended\"$name\": {\"result\": \"$(text "$1")\"${2:+, \"seconds\": $2}$why}, "
    current=""
    write_json unfinished
    echo "gpu-check: $name $1${2:+ ($2 s)}"
}

# Keeps the file true while a part is at work: its rows are there even when this script is killed without a warning.
watch() {
    writer=watch
    while sleep 1 && kill -0 $$ 2>/dev/null; do at_work $(($(date +%s) - start)); done
}
# Not by a signal that could be caught: one that comes before the new process has forgotten this one's traps is lost.
stop_watching() {
    [ -z "$watcher" ] || { kill -KILL "$watcher" && wait "$watcher"; } 2>/dev/null
    watcher=""
}

finish() {
    result=passed
    [ "$failed" = 0 ] || result=failed
    [ -z "$(waiting)" ] || result=unfinished
    write_json "$result"
    rm -rf "$scratch" "$file.watch"
    echo "gpu-check: wrote $file"
}
# leave_out "PARTS" REASON
leave_out() {
    for name in $1; do
        case " $parts " in *" $name "*) over "skipped: $2" ;; esac
    done
}
# give_up REASON: none of the parts can be done.
give_up() {
    failed=1
    leave_out "$parts" "$1"
    finish
    exit 1
}
# read_ahead: PyTorch's files are read and its Python is translated while nothing is timed: a machine that has just started takes longer
# over them than over what PyTorch is asked. Who times something ends that first.
read_ahead() {
    export PYTHONPYCACHEPREFIX="$scratch/python"
    DET_GPU_PART=reader python3 bench/peers/gpu_torch.py --warm 1 --scratch "$scratch" >/dev/null 2>&1 &
    reader=$!
}
stop_reading() {
    [ -z "$reader" ] || { kill "$reader" && wait "$reader"; } 2>/dev/null
    reader=""
}
# The run is ended from outside.
stop() {
    trap '' TERM INT HUP
    stop_watching
    stop_reading
    [ -z "$child" ] || kill "$child" 2>/dev/null
    [ -z "$current" ] || over "cut off with the run" $(($(date +%s) - start))
    finish
    exit 1
}
trap stop TERM INT HUP

# --- parts

# part NAME SECONDS COMMAND...: runs it within its limit and what is left of the run; rows are its stdout. Its status 4 means skipped, for
# the reason in its last line.
part() {
    name=$1 limit=$2
    [ "$name" = build ] || limit=${each:-$2}
    shift 2
    case " $parts build " in *" $name "*) ;; *) return ;; esac
    start=$(date +%s)
    [ "$limit" -lt $((deadline - start)) ] || limit=$((deadline - start))
    if [ "$limit" -lt 3 ]; then
        failed=1
        over "not reached in $seconds s"
        return
    fi
    printf '\n=== %s\n' "$name" >> "$log"
    first=$(($(wc -l < "$log") + 1))
    echo >> "$rows"
    at_work 0
    DET_GPU_PART=$name DET_GPU_SECONDS=$((limit - 2)) timeout -k 5 "$limit" "$@" >> "$rows" 2>> "$log" &
    child=$!
    watch >/dev/null 2>&1 &
    watcher=$!
    wait "$child"
    status=$?
    child=""
    stop_watching
    took=$(($(date +%s) - start))
    case $status-$name in
    0-*) over passed "$took" ;;
    # What a sanitizer or PyTorch did not reach in its time is no failure.
    3-torch | 3-memcheck | 3-racecheck | 3-synccheck | 3-initcheck) over "passed in part" "$took" $status ;;
    4-*) over "skipped: $(tail -n 1 "$log")" ;;
    *)
        failed=1
        case $status in 124 | 137) over "cut off after $limit s" "$took" $status ;; *) over failed "$took" $status ;; esac
        tail -n +"$first" "$log" | tail -n 20
        ;;
    esac
}

sanitize() {
    if command -v compute-sanitizer >/dev/null; then
        # shellcheck disable=SC2086
        part "$1" 60 bench/gpu_groups.sh $((${each:-60} / 3)) "$tests" $kernels -- compute-sanitizer --tool "$1" --error-exitcode 9 --print-limit 20
    else
        leave_out "$1" "compute-sanitizer is not installed"
    fi
}

# fits "ARCHITECTURES": machine code runs on later GPUs of the same major number, the last one's PTX on all that are later.
fits() {
    for made in $1; do
        if [ "$made" -le "$arch" ] && [ "${made%?}" = "${arch%?}" ]; then return; fi
    done
    if [ "$made" -le "$arch" ]; then return; fi
    give_up "the programs are for sm_$1, this GPU is sm_$arch: make gpu-bundle CUDA_ARCHS=$arch"
}

# What the programs load at run time: pip's folders of this machine's Python, then the loader's.
places() {
    python3 -c '
import glob, os, sys
for folder in sys.path:
    print("\n".join(sorted(glob.glob(os.path.join(folder or ".", "nvidia", "*", "lib")))))' 2>/dev/null
    echo "${LD_LIBRARY_PATH:-}" | tr ':' '\n'
    ldconfig -p 2>/dev/null | sed -n 's|.*lib\(cublasLt\|cudnn\|nccl\)\.so.* => \(/.*\)/.*|\2|p' | sort -u
    echo /usr/local/cuda/lib64
}
# find_library NAME: says where it is and has the loader look there.
find_library() {
    soname=$(grep -aoh "$1\.so\.[0-9][0-9]*" "$programs/bench_cuda" 2>/dev/null | head -1)
    where=$(echo "$searched" | while read -r folder; do
        for found in "$folder/${soname:-$1.so.}"*; do
            if [ -n "$folder" ] && [ -e "$found" ]; then echo "$folder"; fi
        done
    done | head -1)
    if [ -n "$where" ]; then
        echo "gpu-check: ${soname:-$1} in $where"
        libraries="$libraries\"$1\": \"$(text "$where")\", "
        case ":${LD_LIBRARY_PATH:-}:" in
        *":$where:"*) ;;
        *) export LD_LIBRARY_PATH="$where${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" ;;
        esac
    else
        echo "gpu-check: no ${soname:-$1} in $(echo "$searched" | grep . | tr '\n' ' ')"
        libraries="$libraries\"$1\": null, "
    fi
}

write_json unfinished
if [ -z "${DET_GPU_BIN:-}" ]; then
    deadline=$(($(date +%s) + 3600))
    # shellcheck disable=SC2016
    part build 3600 sh -c 'make -s -j"$(nproc)" CUDA=1 LINEINFO=1 CUDA_ARCHS="$0" all build-cuda-tests >&2' "$arch"
    [ "$failed" = 0 ] || give_up "the build failed"
fi
if [ -r "$programs/../architectures" ]; then fits "$(cat "$programs/../architectures")"; fi
searched=$(places)
find_library libcublasLt
find_library libcudnn
[ "$gpus" -lt 2 ] || find_library libnccl

deadline=$(($(date +%s) + seconds))
python=""
command -v python3 >/dev/null && python=python3
if [ -n "$python" ] && wanted torch && wanted tests; then read_ahead; fi
# shellcheck disable=SC2046
part tests 90 bench/gpu_groups.sh 40 "$tests" $("$tests" --list | grep -v '^test_cuda_ranks')
stop_reading
for p in bf16 tf32 f32; do
    part step-$p 35 "$programs/bench_cuda" --job training --whole_only 1 --sizes 640 --batches 8 --precision $p
done
for p in bf16 tf32 f32; do
    part inference-$p 20 "$programs/bench_cuda" --job inference --whole_only 1 --sizes 320,640 --batches 1 --precision $p
done
part launches 15 "$programs/bench_cuda" --job launches --precision f32 --sizes 16,160,640
part int8-tests 30 bench/gpu_groups.sh 25 "$tests" test_cuda_q8 test_cuda_q8_conv test_cuda_q8_net
part int8-inference 20 "$programs/bench_cuda" --job inference --whole_only 1 --sizes 320,640 --batches 1 --precision int8
part demo 60 bench/gpu_demo.sh "$programs" "$scratch/demo"
for p in bf16 tf32 f32; do
    part rows-$p 40 "$programs/bench_cuda" --sizes 640 --batches 8 --repeat 20 --precision $p
done
part int8-rows 40 "$programs/bench_cuda" --job inference --sizes 640 --batches 8 --repeat 20 --precision int8
if [ -n "$python" ]; then
    part torch 150 python3 bench/peers/gpu_torch.py --bin "$programs" --scratch "$scratch"
else
    leave_out torch "python3 is not installed"
fi
if [ "$gpus" -gt 1 ]; then
    part ranks 60 bench/gpu_groups.sh 55 "$tests" test_cuda_ranks test_cuda_ranks_modes
else
    leave_out ranks "one GPU"
fi
sanitize memcheck
sanitize racecheck
for p in bf16 tf32 f32; do
    part peer-$p 60 "$programs/bench_cuda" --peer 1 --sizes 640 --batches 8 --repeat 20 --precision $p
done
sanitize synccheck
sanitize initcheck
part batches 120 "$programs/bench_cuda" --whole_only 1
if command -v ncu >/dev/null; then
    part profile 150 bench/gpu_profile.sh "$programs/bench_cuda" "${file%.json}"
else
    leave_out profile "ncu is not installed"
fi

sed -n 's/.*"kind": "\(whole\|peer\)", "job": "\([a-z]*\)", "size": \([0-9]*\), "batch": \([0-9]*\), "precision": "\([a-z0-9]*\)", "device": "\([^"]*\)", "p50_ms": \([0-9.]*\).*/\2 \3, batch \4, \5: \7 ms, \6/p' "$rows"
finish
exit "$failed"
