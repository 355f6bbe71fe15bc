#!/bin/sh
# gpu_profile.sh BENCH_CUDA NAME: Nsight Compute's counters of each of our kernels in the first training step (640, batch 8, bf16) and the
# first inference (640): NAME-training.csv, NAME-inference.csv. Only what one pass over a kernel counts: more would run each several
# times. On stdout a JSON row a kernel: its launches and their sums. Ends within DET_GPU_SECONDS, with the kernels it has by then.
# Exit status: 0, or 1 when there are none.
set -u
bench=$1 name=$2
seconds=${DET_GPU_SECONDS:-150}
metrics=gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum,smsp__inst_executed.sum
failed=0

# profile JOB BATCH COUNT FIRST SECONDS: COUNT is more than the job's kernels, FIRST is the one that it begins with; those before it choose
# algorithms. An interrupted ncu still writes what it has; a shell has its children in the background ignore that signal, env undoes it.
profile() {
    csv=$name-$1.csv
    timeout --foreground -s INT -k 5 "$5" env --default-signal=INT ncu --clock-control none --cache-control none --metrics "$metrics" \
        -k regex:detk_ -c "$3" --csv --page raw --print-units base --log-file "$csv" \
        "$bench" --job "$1" --whole_only 1 --sizes 640 --batches "$2" --precision bf16 --repeat 1 >/dev/null
    sums "$1" "$2" "$4" < "$csv" || {
        failed=1
        grep '^==' "$csv" | tail -n 3 >&2
    }
}

sums() {
    awk -v job="$1" -v batch="$2" -v first="$3" -F '","' '
    BEGIN { scale["us"] = scale["usecond"] = scale["byte"] = scale["inst"] = 1; scale["ns"] = scale["nsecond"] = 1e-3
            scale["ms"] = scale["msecond"] = 1e3; scale["Kbyte"] = 1e3; scale["Mbyte"] = 1e6; scale["Gbyte"] = 1e9 }
    function value(metric,  number) { number = $(at[metric]); gsub(",", "", number); return number * unit[metric] }
    !/^"/ { next }
    { sub(/^"/, ""); sub(/"$/, "") }
    !head { for (i = 1; i <= NF; i++) at[$i] = i; head = NR; next }
    !units { for (metric in at) unit[metric] = scale[$(at[metric])]; units = NR; next }
    {
        kernel = $(at["Kernel Name"])
        sub(/\([^()]*\)$/, "", kernel); sub(/^void /, "", kernel); sub(/<unnamed>::|\(anonymous namespace\)::/, "", kernel)
        if (index(kernel, first) == 1) jobs++
        if (jobs != 1) next
        if (!launches[kernel]++) names[++count] = kernel
        time[kernel] += value("gpu__time_duration.sum"); read[kernel] += value("dram__bytes_read.sum")
        written[kernel] += value("dram__bytes_write.sum"); instructions[kernel] += value("smsp__inst_executed.sum")
        all++
    }
    END {
        for (i = 1; i <= count; i++) {
            kernel = names[i]
            printf "{\"kind\": \"kernel\", \"job\": \"%s\", \"size\": 640, \"batch\": %d, \"precision\": \"bf16\", \"name\": \"%s\", \"launches\": %d, ", job, batch, kernel, launches[kernel]
            printf "\"sum_us\": %.3f, \"read_bytes\": %.0f, \"written_bytes\": %.0f, \"instructions\": %.0f}\n", time[kernel], read[kernel], written[kernel], instructions[kernel]
        }
        printf "%s: %d launches, %s\n", job, all, (jobs > 1 ? "the whole job" : "which may not be all") > "/dev/stderr"
        exit count == 0
    }'
}

profile training 8 900 detk_pictures_input $((seconds * 2 / 3))
profile inference 1 200 detk_preprocess_image $((seconds / 5))
exit "$failed"
