#!/bin/sh
# outside.sh MAP OBJECT...: names what of tools/, support/ and examples/ goes inside the library: each include (file and line) that is
# neither a public header (det/NAME.h), one of support/ nor one of the tools' own, and each function or variable that the objects of tools/
# and examples/ ask for and that is neither in MAP (libdet/base/libdet.map) nor in support/, where that is theirs to use. Objects are those
# of libdet, support, tools and examples, .../obj/FOLDER/NAME.o. Status 1 when there is one.
set -eu
map=$1 scratch=$(mktemp -d)
shift
trap 'rm -rf "$scratch"' EXIT

# Quoted or not: the compiler's -I are the same. A header of the system is none that lies here.
grep -rnE '^[[:space:]]*#[[:space:]]*include' tools support examples --include='*.[ch]' > "$scratch/includes"
sed -E 's/^([^:]*):([0-9]*):[^"<]*["<]([^">]*)([">]).*/\1 \2 \3 \4/' "$scratch/includes" |
    while read -r file line header quote; do
        case $file in
            tools/*) own=tools/$header ;;
            *) own=$file ;; # there are none
        esac
        case $header in
            *..*) ;;
            det/*) [ ! -e "libdet/include/$header" ] || continue ;;
            support/*) [ "${file%%/*}" = examples ] || [ ! -e "$header" ] || continue ;;
            tools_names.h) [ "$file" != tools/video/build.c ] || continue ;; # the Makefile's
            *) [ "$quote" = '>' ] || [ ! -e "$own" ] || [ "$own" = "$file" ] || continue ;;
        esac
        [ "$quote" = '"' ] || [ -e "libdet/$header" ] || [ -e "$header" ] || continue
        echo "$file:$line: \"$header\" is none of libdet/include/det/, support/ or its own"
    done > "$scratch/broken"

sed -n 's/^ *\([a-z][a-z0-9_]*\);.*/\1/p' "$map" > "$scratch/public"
nm -A "$@" | sed 's|^.*/obj/||; s|:[0-9a-f ]*| |' > "$scratch/symbols"
awk '
    function top(path) { sub(/\/.*/, "", path); return path }
    FNR == 1 { pass++ }
    pass == 1 { public[$1]; next }
    pass == 2 { if ($2 ~ /^[TDBRVW]$/) home[$3] = $1; next }
    $2 == "U" && (top($1) == "tools" || top($1) == "examples") && !($3 in public) {
        from = $3 in home ? top(home[$3]) : $3 ~ /^det_/ ? "libdet" : "another library"
        if (from == "libdet" || (from == "support" && top($1) == "examples"))
            print $1 ": " $3 "() of " ($3 in home ? home[$3] : from) " is not in the public headers"
    }' "$scratch/public" "$scratch/symbols" "$scratch/symbols" >> "$scratch/broken"

if [ -s "$scratch/broken" ]; then
    cat "$scratch/broken"
    echo "outside: $(wc -l < "$scratch/broken") look inside the library"
    exit 1
fi
echo "outside: $(wc -l < "$scratch/includes") includes of tools, support and examples and $(awk '$2 == "U" && $1 ~ /^(tools|examples)/' "$scratch/symbols" | wc -l) uses of functions, none goes inside"
