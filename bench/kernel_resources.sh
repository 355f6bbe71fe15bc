#!/bin/sh
# kernel_resources.sh LOG...: what ptxas -v said of each kernel on each architecture, as CSV on stdout. occupancy_percent is the
# share of a multiprocessor's threads that the registers leave room for: 65,536 registers, given out by 8 a thread and by warps.
set -eu
echo "kernel,arch,registers,stack_bytes,spill_bytes,static_shared_bytes,occupancy_percent"
cat "$@" | awk '
BEGIN { most[75] = 1024; most[86] = most[89] = most[120] = 1536 }
/Compiling entry function/ { split($0, quoted, "\047"); name = quoted[2]; arch = substr(quoted[4], 4) }
/bytes stack frame/ { stack = $1; spill = $5 + $9 }
/Used [0-9]+ registers/ {
    registers = 0; shared = 0
    for (i = 1; i < NF; i++) {
        if ($(i) == "Used") registers = $(i + 1)
        if ($(i + 1) == "bytes" && $(i + 2) ~ /^smem/) shared = $(i)
    }
    given = int((registers + 7) / 8) * 8
    threads = int(65536 / given / 32) * 32
    limit = arch in most ? most[arch] : 2048
    if (threads > limit) threads = limit
    print name "\t" arch "," registers "," stack "," spill "," shared "," int(100 * threads / limit)
}' | c++filt | awk -F '\t' '{
    name = $1
    sub(/^void /, "", name); gsub(/\(anonymous namespace\)::/, "", name); gsub(/\(detk_load_kind\)/, "load", name); sub(/\(.*/, "", name); gsub(/, /, " ", name); gsub(/__nv_bfloat16/, "bf16", name)
    print name "," $2
}' | LC_ALL=C sort -u
