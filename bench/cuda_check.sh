#!/bin/sh
# cuda_check.sh RESOURCES BUDGET ACCESSES CLAIMS: the gates of `make cuda-check`: no kernel spills or keeps a stack, none needs more
# registers or shared memory or has a lower theoretical occupancy than the committed budget says, each is in the budget; none accesses
# local memory, and each that claims them has 128-bit loads and stores.
set -eu
bad=0
awk -F , '
FNR == 1 { next }
NR == FNR { at = $1 "," $2; registers[at] = $3; shared[at] = $6 + $7; occupancy[at] = $9; next }
{ at = $1 "," $2; where = $1 " on sm_" $2 ": " }
$4 > 0 || $5 > 0 { print where $4 " bytes of stack, " $5 " bytes of spills"; bad = 1 }
!(at in registers) { print where "not in the budget: make cuda-budget"; bad = 1; next }
$3 > registers[at] { print where $3 " registers, budget " registers[at]; bad = 1 }
$6 + $7 > shared[at] { print where $6 + $7 " bytes of shared memory, budget " shared[at]; bad = 1 }
$9 < occupancy[at] { print where "occupancy " $9 " %, budget " occupancy[at] " %"; bad = 1 }
{ count++; sum += $9; if (lowest == "" || $9 < lowest) lowest = $9 }
END { print count + 0 " kernels and architectures checked, theoretical occupancy " lowest " to 100 %, mean " int(sum / (count ? count : 1)) " %"; exit bad || count == 0 }' "$2" "$1" || bad=1
awk -F , '
FNR == 1 { next }
NR == FNR { loads[$1] = $2; stores[$1] = $3; next }
{ where = $1 " (" ($2 == "ptx" ? "PTX" : "sm_" $2) "): " }
$5 > 0 { print where $5 " accesses of local memory"; bad = 1 }
!($1 in loads) { print where "not in the claims: kernels/accesses.csv"; bad = 1; next }
loads[$1] && !$3 { print where "no 128-bit load"; bad = 1 }
stores[$1] && !$4 { print where "no 128-bit store"; bad = 1 }
{ count++; wide += loads[$1] || stores[$1] }
END { print count + 0 " kernels and architectures: no local memory, 128-bit accesses in the " wide + 0 " that claim them"; exit bad || count == 0 }' "$4" "$3" || bad=1
exit $bad
