#!/bin/sh
# unit_names.sh FILE.cu...: files that are compiled together (cuda.mk) have no name of their own in common. A compiler sees two macros, types
# or equal functions; two functions of other parameters would be overloads, of which a call may take the wrong one.
set -eu
awk '
/^#define / { found($2) }
/^(struct|enum|union) [A-Za-z_0-9]+ \{/ { found($2) }
# A function begins at the left, where clang-format puts it; its name stands before the first parenthesis that is not an attribute.
/^[A-Za-z]/ && !/^(template|struct [a-z_]* \{|using|typedef|extern|namespace)/ || /^    detk_/ {
    line = $0
    gsub(/__launch_bounds__\([^)]*\)|alignas\([^)]*\)/, "", line)
    if (match(line, /[A-Za-z_][A-Za-z_0-9]*\(/)) found(substr(line, RSTART, RLENGTH - 1))
}
/^template .*> (__device__|static|constexpr|__host__)/ {
    line = $0
    if (match(line, /[A-Za-z_][A-Za-z_0-9]*( =|\()/)) { name = substr(line, RSTART, RLENGTH); sub(/[ =(]+$/, "", name); found(name) }
}
function found(name) {
    sub(/\(.*/, "", name)
    if (name in first && first[name] != FILENAME) { print FILENAME ": " name " is in " first[name] ", too, which is compiled together with it" > "/dev/stderr"; bad = 1 }
    first[name] = FILENAME
}
END { exit bad }' "$@"
