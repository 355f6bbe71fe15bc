#!/bin/sh
# kernel_coverage.sh LEAST OBJECT...: lines of kernels/ that a run of the emulated tests has executed, from gcov; lists the files that
# are not whole and the lines that were not reached, fails below LEAST percent. A line of a header or template counts once.
set -eu
least=$1
shift
for object in "$@"; do
    gcov -t -o "$(dirname "$object")" "$object" 2>/dev/null
done | awk -F : -v least="$least" '
$2 + 0 == 0 && $3 == "Source" { file = $4; sub(/^.*kernels\//, "kernels/", file); next }
file !~ /^kernels\// || NF < 3 { next }
{
    count = $1; line = $2 + 0
    gsub(/[ \t]/, "", count)
    if (line == 0 || count == "-" || count == "") next
    reached = count !~ /^[#=]/
    key = file ":" line
    if (!(key in seen)) { seen[key] = 0; lines[file]++ }
    if (reached) seen[key] = 1
}
END {
    for (key in seen) {
        split(key, part, ":")
        all++
        if (seen[key]) { good++; whole[part[1]]++ } else print "not reached: " key | "sort -t: -k2,2 -k3,3n"
    }
    close("sort -t: -k2,2 -k3,3n")
    percent = all > 0 ? 100 * good / all : 0
    printf "kernels: %d of %d lines reached, %.1f %%, at least %s %%\n", good, all, percent, least
    exit !(percent >= least)
}'
