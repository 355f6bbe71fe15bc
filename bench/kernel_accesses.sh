#!/bin/sh
# kernel_accesses.sh NVDISASM ARCH:CUBIN... or "" PTX...: what the machine code, or else the PTX, of each kernel accesses, as CSV on stdout:
# 128-bit loads and stores of global memory, accesses of local memory.
set -eu
nvdisasm=$1
shift
[ $# -gt 0 ] || { echo "kernel_accesses.sh: no code to look at" >&2; exit 1; }
listing() {
    if [ -n "$nvdisasm" ]; then "$nvdisasm" -c "${1#*:}"; else cat "$1"; fi
}
echo "kernel,arch,loads_128,stores_128,local"
for code in "$@"; do
    arch=ptx
    [ -z "$nvdisasm" ] || arch=${code%%:*}
    listing "$code" | awk -v arch="$arch" '
    function finish() { if (kernel != "") print kernel "\t" arch "," loads + 0 "," stores + 0 "," locals + 0 }
    function start(name) { finish(); kernel = name; loads = stores = locals = 0 }
    /^\.text\./ { name = $1; sub(/^\.text\./, "", name); sub(/:$/, "", name); start(name) }
    /\.entry / { name = $0; sub(/^.*\.entry /, "", name); sub(/\(.*/, "", name); start(name) }
    / LDG\.E[^ ]*\.128/ || /[ \t]ld\.global[^ ]*\.(v4\..32|v2\..64) / { loads++ }
    / STG\.E[^ ]*\.128/ || /[ \t]st\.global[^ ]*\.(v4\..32|v2\..64) / { stores++ }
    / (LDL|STL)[. ]/ || /[ \t](ld|st)\.local/ { locals++ }
    END { finish() }'
done | c++filt | awk -F '\t' '{
    name = $1
    sub(/^void /, "", name); gsub(/\(anonymous namespace\)::/, "", name); gsub(/\(detk_load_kind\)/, "load", name); gsub(/\(q8_added\)/, "added", name); sub(/\(.*/, "", name); gsub(/, /, " ", name); gsub(/__nv_bfloat16/, "bf16", name)
    print name "," $2
}' | LC_ALL=C sort -u
