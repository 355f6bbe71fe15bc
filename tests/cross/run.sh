#!/bin/sh
# Runs groups of the tests of a build for another machine here, under qemu-user; without names all of them.
#
#   tests/cross/run.sh TARGET SYSROOT BUILD [GROUP...]        as in: aarch64-linux-gnu build/aarch64-linux-gnu/sysroot build/aarch64-linux-gnu/release
set -eu

target=$1 sysroot=$(realpath "$2") build=$(realpath "$3")
shift 3
machine=${target%%-*}
qemu=$(command -v "qemu-$machine" || command -v "qemu-$machine-static") || {
    echo "run.sh: no qemu-$machine here: install qemu-user-static" >&2
    exit 1
}

# The tests start the programs by their names: a script for each that starts it under qemu. They look for the library beside these.
for folder in bin examples; do
    mkdir -p "$build/qemu/$folder"
    for program in "$build/$folder"/*; do
        script=$build/qemu/$folder/${program##*/}
        printf '#!/bin/sh\nexec %s -L %s %s "$@"\n' "$qemu" "$sysroot" "$program" > "$script"
        chmod +x "$script"
    done
done
ln -sfn ../lib "$build/qemu/lib"
ln -sfn ../loaded "$build/qemu/loaded"
export DET_EMULATED=1 DET_BIN_DIR="$build/qemu/bin" DET_EXAMPLES_DIR="$build/qemu/examples"

# A process for each group, as many at once as there are processors; a log of each beside the programs, shown when it fails.
[ $# -gt 0 ] || set -- test_
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 sh -c '
    log=$1/${4#=}.log
    if "$2" -L "$3" "$1/../bin/det-tests" "$4" > "$log" 2>&1; then
        tail -n 1 "$log" | sed "s/^/${4#=}: /"
    else
        tail -n 40 "$log"
        exit 1
    fi' sh "$build/qemu" "$qemu" "$sysroot"
