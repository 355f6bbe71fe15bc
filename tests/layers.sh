#!/bin/sh
# layers.sh FLOORS OBJECT...: names each include of support/, libdet/ and kernels/ that climbs (FLOORS: libdet/floors.txt) with file and
# line, and each function or variable that is used from a higher floor without an include: those a public header declares.
# Objects are those of the library, .../obj/libdet/FOLDER/NAME.o. Status 1 when one is broken.
set -eu
floors=$1 scratch=$(mktemp -d)
shift
trap 'rm -rf "$scratch"' EXIT

grep -rn '^#include "' support libdet kernels --include='*.[ch]' --include='*.cu' --include='*.cuh' > "$scratch/includes"
awk -F: '
    function folder(path) {
        sub(/^libdet\//, "", path)
        return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/) - 1) : "."
    }
    FILENAME == ARGV[1] { if ($0 !~ /^#/) floor[$0] = ++floors; next }
    {
        from = folder($1)
        split($3, part, "\"")
        to = part[2] ~ /^det\// ? "include/det" : folder(part[2])
        if (from == "include/det" ? to == from : to == "include/det") next
        # The contracts of kernels stand in a folder of their own, with sources for the GPU only.
        if (to == ".") to = from == "devices/cuda" || from == "kernels" ? "kernels" : from
        if (part[2] ~ /\.\./ || !(from in floor) || !(to in floor))
            print $1 ":" $2 ": \"" part[2] "\": " (from in floor ? to : from) " is no floor of the library"
        else if (floor[to] > floor[from])
            print $1 ":" $2 ": \"" part[2] "\" climbs from " from " to " to
    }' "$floors" "$scratch/includes" > "$scratch/broken"

# Floors by the first part of their names here: a floor calls its own rooms through its tables.
nm -A "$@" | sed 's|^.*/obj/libdet/||; s|^.*/obj/||; s|:[0-9a-f ]*| |' > "$scratch/symbols"
awk '
    function top(path) { sub(/\/.*/, "", path); return path }
    FNR == 1 { pass++ }
    pass == 1 { if ($0 !~ /^#/ && !(top($0) in floor)) floor[top($0)] = ++floors; next }
    pass == 2 { if ($2 ~ /^[TDBR]$/) home[$3] = $1; next }
    $2 == "U" && $3 in home && floor[top(home[$3])] > floor[top($1)] {
        print "libdet/" $1 ": " $3 "() of libdet/" home[$3] " climbs from " top($1) " to " top(home[$3])
    }' "$floors" "$scratch/symbols" "$scratch/symbols" >> "$scratch/broken"

if [ -s "$scratch/broken" ]; then
    cat "$scratch/broken"
    echo "layers: $(wc -l < "$scratch/broken") broken, the order is $floors"
    exit 1
fi
echo "layers: $(wc -l < "$scratch/includes") includes and $(awk '$2 == "U"' "$scratch/symbols" | wc -l) uses of functions, none climbs"
