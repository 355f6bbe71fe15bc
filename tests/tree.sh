#!/bin/sh
# tree.sh LIBRARY SET...: a table of where each operation is and what proves it; status 1 when there is a hole that tests/tree.txt
# does not explain, or an explanation of a hole that is none.
#
# An operation is there where its function is (detk_NAME__SET in the library), on CUDA where a contract declares it, in tests, bench
# and goldens where they name it; goldens are of the whole network, so what model/net.c and net_backward.c call is in them.
set -eu
library=$1
shift
rows=tests/tree.txt
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
nm "$library" 2>/dev/null | awk '$2 == "T" { print $3 }' > "$scratch/functions"
words() { cat "$@" 2>/dev/null | tr -cs 'A-Za-z0-9_' '\n' | sort -u; }
words kernels/*.h libdet/devices/cuda/*.h > "$scratch/cuda"
words tests/unit/*.c > "$scratch/test"
words tests/cuda/*.c > "$scratch/cuda_test"
words tests/unit/test_ops_gradient.c > "$scratch/gradient"
words bench/cpu/*.c bench/bench_cuda.c bench/cuda_rows.c > "$scratch/bench"
words libdet/model/net.c libdet/model/net_backward.c > "$scratch/golden"
words tests/parity/*.c > "$scratch/parity"
: > "$scratch/holes"

# A line of tests/tree.txt: hole ROW COLUMN[,COLUMN...] reason
explained() { grep -qE "^hole $1 ([a-z0-9_]+,)*$2(,[a-z0-9_]+)* " "$rows"; }

row=
cell() { # COLUMN WIDTH yes|no|-
    case $3 in
    yes) mark=x ;;
    -) mark=' ' ;;
    *)
        if explained "$row" "$1"; then mark=-; else mark='?'; fi
        echo "$row $1" >> "$scratch/holes"
        ;;
    esac
    printf " %-$2s" "$mark"
}
has() { # LIST WORD...
    list=$scratch/$1
    shift
    for word; do
        if grep -qxF -- "$word" "$list"; then echo yes && return; fi
    done
    echo no
}
# The pairs of names that the list and CUDA have for the same: NAME_forward is NAME there.
on_cuda() { has "$1" "detk_$2" "det_cuda_$2" "detk_${2%_forward}" "det_cuda_${2%_forward}"; }

printf '%-23s ref  ' operation
for set in "$@"; do printf '%-8s' "$set"; done
printf 'bf16 cuda test cuda_test gradient bench golden\n'
sed -n '/define DET_BF16_OP_LIST/,/define DET_PART_LIST/p' libdet/ops/op_list.h > "$scratch/bf16_list"
sed -n 's/^ *OP(set, \([a-z0-9_]*\), \([a-z0-9_]*\), void.*/\1 \2/p' libdet/ops/op_list.h > "$scratch/operations"
while read -r row gradient; do
    printf '%-23s' "$row"
    cell ref 4 "$(has functions "detk_${row}__ref")"
    for set in "$@"; do cell "$set" 7 "$(has functions "detk_${row}__$set")"; done
    # The others are the float32 ones in bf16's tables.
    if grep -q "OP(set, $row," "$scratch/bf16_list"; then
        cell bf16 4 "$(grep -q "^detk_${row}__bf16_" "$scratch/functions" && echo yes || echo no)"
    else cell bf16 4 -; fi
    cell cuda 4 "$(on_cuda cuda "$row")"
    cell test 4 "$(has test "$row" "detk_${row}__ref")"
    cell cuda_test 9 "$(on_cuda cuda_test "$row")"
    if [ "$gradient" = _ ]; then cell gradient 8 -; else cell gradient 8 "$(has gradient "$gradient" "detk_${gradient}__ref")"; fi
    cell bench 5 "$(has bench "$row")"
    cell golden 6 "$(has golden "$row")"
    printf '\n'
done < "$scratch/operations"

printf '\n%-23s cpu  cuda test cuda_test bench golden\n' 'part of the model'
sed -n 's/^part //p' "$rows" > "$scratch/parts"
exists() { for file; do [ -e "$file" ] && echo yes && return; done; echo no; }
while read -r row; do
    printf '%-23s' "$row"
    cell cpu 4 "$(exists libdet/*/"$row".c)"
    cell cuda 4 "$(exists kernels/"$row".cu kernels/"$row"s.cu)"
    cell test 4 "$(exists tests/unit/test_"$row".c)"
    cell cuda_test 9 "$(exists tests/cuda/test_cuda_"$row".c tests/cuda/test_cuda_"$row"s.c)"
    cell bench 5 "$(has bench "bench_$row" "det_${row}_run" "det_${row}_compute" "det_${row}_assign" "det_${row}_fill" "$row")"
    cell golden 6 "$(grep -q "^det_$row\\(_\\|\$\\)" "$scratch/parity" && echo yes || echo no)"
    printf '\n'
done < "$scratch/parts"

printf '\n'
sed -n 's/^hole //p' "$rows" | while read -r row columns reason; do
    printf -- '- %s, %s: %s\n' "$row" "$(echo "$columns" | sed 's/,/, /g')" "$reason"
    for column in $(echo "$columns" | tr , ' '); do
        grep -qxF "$row $column" "$scratch/holes" || echo "$row $column: tests/tree.txt explains a hole that is none" >> "$scratch/wrong"
    done
done
while read -r row column; do
    explained "$row" "$column" || echo "$row $column: a hole" >> "$scratch/wrong"
done < "$scratch/holes"
if [ -s "$scratch/wrong" ]; then
    cat "$scratch/wrong" >&2
    exit 1
fi
