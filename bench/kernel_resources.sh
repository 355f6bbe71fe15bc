#!/bin/sh
# kernel_resources.sh PTX... LOG...: what ptxas -v said of each kernel on each architecture, as CSV on stdout. From the PTX (of any one
# architecture) come the threads of a block. occupancy_percent is the theoretical occupancy: resident threads of a multiprocessor
# in relation to its most, by threads, blocks, registers and shared memory (CUDA programming guide, "Compute Capabilities"; registers
# are given to warps by 256 from four pools of 16,384, and from 8.0 on each block costs 1 KB of shared memory more).
set -eu
awk '
BEGIN {
    split("75 80 86 87 89 90 100 120", archs)
    split("1024 2048 1536 1536 1536 2048 2048 1536", threads_of)
    split("16 32 16 16 24 32 32 24", blocks_of)
    split("64 164 100 164 100 228 228 100", kilobytes_of)
    for (i in archs) { most_threads[archs[i]] = threads_of[i]; most_blocks[archs[i]] = blocks_of[i]; kilobytes[archs[i]] = kilobytes_of[i] }
    # Floats of dynamic shared memory for a thread and channel of a vector: reduce.cuh, bn_statistics.cu.
    floats["detk_bn_strip_moments"] = 1; floats["detk_bn_gradient_sums"] = 2; floats["detk_bias_backward_strip"] = 1
    floats["detk_dwconv_backward_weight_3x3"] = 9; floats["detk_dwconv_backward_weight_any"] = 1
}
function least(a, b) { return a < b ? a : b }
function dynamic_bytes(mangled, vector, kernel) {
    if (!(mangled in dynamic)) return 0
    for (kernel in floats)
        if (index(mangled, kernel "I")) {
            vector = mangled
            if (!sub(/^.*I(f|13__nv_bfloat16)Li/, "", vector)) vector = 1
            return floats[kernel] * 4 * (vector + 0) * block[mangled]
        }
    print "kernel_resources.sh: " mangled ": how much dynamic shared memory?" > "/dev/stderr"
    exit_code = 1
    return 0
}
function occupancy(arch, registers, bytes, threads, warps, by_registers, by_shared, resident) {
    warps = int((threads + 31) / 32)
    by_registers = int(int(16384 / (int((registers * 32 + 255) / 256) * 256)) * 4 / warps)
    by_shared = int(kilobytes[arch] * 1024 / (bytes + (arch >= 80 ? 1024 : 1)))
    resident = least(least(most_blocks[arch], int(most_threads[arch] / threads)), least(by_registers, by_shared))
    return int(100 * resident * threads / most_threads[arch])
}
FILENAME ~ /\.ptx$/ {
    if ($0 ~ /\.entry /) { mangled = $0; sub(/^.*\.entry /, "", mangled); sub(/\(.*/, "", mangled) }
    # ".maxntid 256, 1, 1"; the PTX of later architectures leaves out the ones.
    if ($1 == ".maxntid") { gsub(",", ""); block[mangled] = $2 * (NF > 2 ? $3 : 1) * (NF > 3 ? $4 : 1) }
    if ($0 ~ /det_dynamic_shared_/ && $0 !~ /^\.extern/) dynamic[mangled] = 1
    next
}
/Compiling entry function/ { split($0, quoted, "\047"); name = quoted[2]; arch = substr(quoted[4], 4) }
/bytes stack frame/ { stack = $1; spill = $5 + $9 }
/Used [0-9]+ registers/ {
    registers = 0; shared = 0
    for (i = 1; i < NF; i++) {
        if ($(i) == "Used") registers = $(i + 1)
        if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $(i)
    }
    if (!(name in block) || !(arch in most_threads)) {
        print "kernel_resources.sh: " name ", sm_" arch ": no launch bounds, or an architecture without figures" > "/dev/stderr"
        exit_code = 1
        next
    }
    extra = dynamic_bytes(name)
    print name "\t" arch "," registers "," stack "," spill "," shared "," extra "," block[name] "," occupancy(arch, registers, shared + extra, block[name])
}
END { exit exit_code }' "$@" > "${TMPDIR:-/tmp}/kernel_resources.$$" || { rm -f "${TMPDIR:-/tmp}/kernel_resources.$$"; exit 1; }
echo "kernel,arch,registers,stack_bytes,spill_bytes,static_shared_bytes,dynamic_shared_bytes,threads,occupancy_percent"
c++filt < "${TMPDIR:-/tmp}/kernel_resources.$$" | awk -F '\t' '{
    name = $1
    sub(/^void /, "", name); gsub(/\(anonymous namespace\)::/, "", name); gsub(/\(detk_load_kind\)/, "load", name); gsub(/\(q8_added\)/, "added", name); sub(/\(.*/, "", name); gsub(/, /, " ", name); gsub(/__nv_bfloat16/, "bf16", name)
    print name "," $2
}' | LC_ALL=C sort -u
rm -f "${TMPDIR:-/tmp}/kernel_resources.$$"
