#!/bin/sh
# kernel_sass.sh NVDISASM ARCH:CUBIN...: what the machine code of each kernel accesses, as CSV on stdout: 128-bit loads and stores of global
# memory, accesses of local memory.
set -eu
nvdisasm=$1
shift
[ $# -gt 0 ] || { echo "kernel_sass.sh: no machine code to look at" >&2; exit 1; }
echo "kernel,arch,loads_128,stores_128,local"
for cubin in "$@"; do
    arch=${cubin%%:*}
    "$nvdisasm" -c "${cubin#*:}" | awk -v arch="$arch" '
    function finish() { if (kernel != "") print kernel "\t" arch "," loads + 0 "," stores + 0 "," locals + 0 }
    /^\.text\./ { finish(); kernel = $1; sub(/^\.text\./, "", kernel); sub(/:$/, "", kernel); loads = stores = locals = 0 }
    / LDG\.E[^ ]*\.128/ { loads++ }
    / STG\.E[^ ]*\.128/ { stores++ }
    / (LDL|STL)[. ]/ { locals++ }
    END { finish() }'
done | c++filt | awk -F '\t' '{
    name = $1
    sub(/^void /, "", name); gsub(/\(anonymous namespace\)::/, "", name); gsub(/\(detk_load_kind\)/, "load", name); sub(/\(.*/, "", name); gsub(/, /, " ", name); gsub(/__nv_bfloat16/, "bf16", name)
    print name "," $2
}' | LC_ALL=C sort -u
