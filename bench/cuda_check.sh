#!/bin/sh
# cuda_check.sh RESOURCES BUDGET PTX...: the gates of `make cuda-check`: no kernel spills or keeps a stack, none needs more registers than
# the committed budget allows, each is in the budget, and the kernels that claim vector accesses have them in their PTX.
set -eu
resources=$1 budget=$2
shift 2
awk -F , '
FNR == 1 { next }
NR == FNR { allowed[$1 "," $2] = $3; next }
$4 > 0 || $5 > 0 { print $1 " on sm_" $2 ": " $4 " bytes of stack, " $5 " bytes of spills"; bad = 1 }
!(($1 "," $2) in allowed) { print $1 " on sm_" $2 " is not in the budget: make cuda-budget"; bad = 1; next }
$3 > allowed[$1 "," $2] { print $1 " on sm_" $2 ": " $3 " registers, budget " allowed[$1 "," $2]; bad = 1 }
{ count++ }
END { print count " kernels and architectures checked"; exit bad }' "$budget" "$resources"
for ptx in "$@"; do
    grep -q 'ld.global.*v4' "$ptx" && grep -q 'st.global.*v4' "$ptx" || { echo "$ptx: no 128-bit loads or stores"; exit 1; }
    grep -q '\.local ' "$ptx" && { echo "$ptx: local memory"; exit 1; }
done
echo "128-bit accesses and no local memory in the PTX of $# kernel files"
command -v cuobjdump >/dev/null || echo "skipped: no cuobjdump here, SASS was not looked at"
