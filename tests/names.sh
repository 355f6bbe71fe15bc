#!/bin/sh
# names.sh: names each file and each function of ours that a comment or a page of docs/ speaks of and that is not there. A file is
# meant by a name with our endings, with as much of its path as the writer liked; a function by det_NAME() or detk_NAME().
# Files of others, and names that stand for many, are in tests/names.txt. Status 1 when something is not there.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
git ls-files -co --exclude-standard | while read -r file; do [ -e "$file" ] && echo "$file"; done > "$scratch/files"
grep -E '\.(c|h|cu|cuh|cc|mk|sh)$|(^|/)Makefile$' "$scratch/files" > "$scratch/sources"
grep -E '^(README|CONTRIBUTING|docs/.*|bench/.*|tests/.*)\.md$|^README' "$scratch/files" > "$scratch/pages"

# What stands in names.txt is a whole name.
sed '/^#/d' tests/names.txt > "$scratch/known"
xargs grep -hoE '\b(det|detk)_[A-Za-z0-9_]+' < "$scratch/sources" | sort | uniq -c | awk '{ print $2, $1 }' > "$scratch/uses"

# FILE:LINE:text of comments, and of pages.
grep -E '\.(c|h|cu|cuh|cc)$' "$scratch/sources" | xargs awk '
    FNR == 1 { inside = 0 }
    {
        rest = $0
        said = ""
        while (rest != "") {
            if (inside) {
                if (end = index(rest, "*/")) { said = said " " substr(rest, 1, end - 1); rest = substr(rest, end + 2); inside = 0 }
                else { said = said " " rest; rest = "" }
            } else if (match(rest, /\/\*|\/\//)) {
                inside = substr(rest, RSTART, 2) == "/*"
                if (!inside) { said = said " " substr(rest, RSTART + 2); rest = "" }
                else rest = substr(rest, RSTART + 2)
            } else rest = ""
        }
        if (said ~ /[A-Za-z0-9]/) print FILENAME ":" FNR ":" said
    }' > "$scratch/lines"
grep -E '\.(mk|sh)$|Makefile$' "$scratch/sources" | xargs grep -nE '^ *#' /dev/null >> "$scratch/lines"
xargs grep -nE '.' < "$scratch/pages" /dev/null >> "$scratch/lines"
awk -v files="$scratch/files" -v known="$scratch/known" -v uses="$scratch/uses" '
    BEGIN {
        while ((getline path < files) > 0) {
            for (n = split(path, part, "/"); n > 0; n--) {
                suffix = part[n] (suffix == "" ? "" : "/" suffix)
                there[suffix] = 1
            }
            suffix = ""
        }
        while ((getline name < known) > 0) there[name] = 1
        while ((getline line < uses) > 0) { split(line, part, " "); count[part[1]] = part[2] }
    }
    {
        match($0, /^[^:]*:[0-9]+:/)
        where = substr($0, 1, RLENGTH)
        text = substr($0, RLENGTH + 1)
        rest = text
        while (match(rest, /[A-Za-z0-9_\/.*-]*[A-Za-z0-9_*]\.(c|h|cu|cuh)($|[^A-Za-z0-9_.(])/)) {
            name = substr(rest, RSTART, RLENGTH)
            sub(/[^A-Za-z0-9_]$/, "", name)
            rest = substr(rest, RSTART + RLENGTH - 1)
            if (name ~ /[*]|[A-Z]/ || name ~ /^\./) continue
            if (!(name in there)) print where " " name " is no file here"
        }
        rest = text
        while (match(rest, /(det|detk)_[a-z0-9_]+\(\)/)) {
            name = substr(rest, RSTART, RLENGTH - 2)
            rest = substr(rest, RSTART + RLENGTH)
            if (!(name in there) && !(name in count)) print where " " name "() is no function here"
        }
    }' "$scratch/lines" > "$scratch/wrong"
if [ -s "$scratch/wrong" ]; then
    cat "$scratch/wrong"
    exit 1
fi
