#!/bin/sh
# mistakes.sh [WORD]: plants each mistake of mistakes.txt (those whose line, or whose kind, holds WORD) in a copy of the sources and runs
# the emulated tests that must notice it. Exit status: 0 each was noticed, 1 not so, 2 the tests fail without any. The copy is
# build/planted; what is built there stays for the next run. CC, CXX and -j of `make planted` reach the copy's make in MAKEFLAGS.
set -u
cd "$(dirname "$0")/../../.."
copy=build/planted
spoiled=$copy/spoiled # names the file with the mistake of a run that was cut off: what was built of it is newer than what is laid down
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$copy"
[ ! -e "$spoiled" ] || touch "$copy/$(cat "$spoiled")"
build() { make -s -C "$copy" CONFIG=cuda-emu build-cuda-emu > "$copy/build.log" 2>&1; }
# The first test that fails is enough.
passes() { (cd "$copy" && CMOCKA_TEST_ABORT=1 timeout 900 build/cuda-emu/bin/det-cuda-emu-tests "=test_$1" || exit 1) > "$copy/test.log" 2>&1; }
build || { tail -40 "$copy/build.log"; exit 2; }
lines=$copy/lines
word=${1:-|} awk '/^#/ { kind = $0 }
    /^[^#]/ && index(kind $0, ENVIRON["word"]) { if (kind != said) print kind; said = kind; print }' tests/cuda/planted/mistakes.txt > "$lines"
for group in $(grep -v '^#' "$lines" | cut -d '|' -f 2 | sort -u); do
    passes "$group" || { echo "$group fails as it is"; tail -40 "$copy/test.log"; exit 2; }
done
failed=0
while IFS='|' read -r file group expression; do
    case $file in "#"*)
        echo "$file"
        continue
        ;;
    esac
    file=$(echo "$file" | tr -d ' ') group=$(echo "$group" | tr -d ' ')
    echo "$file" > "$spoiled"
    sed -E -i "${expression# }" "$copy/$file"
    if cmp -s "$file" "$copy/$file"; then
        said="CHANGES NOTHING" failed=1
    elif ! build; then
        said="noticed by the compiler"
    elif passes "$group"; then
        said="NOT NOTICED" failed=1
    else
        said=noticed
    fi
    printf "%s: %s, %s:%s\n" "$said" "$file" "$group" "$expression"
    cp "$file" "$copy/$file"
done < "$lines"
build || exit 2
rm -f "$spoiled"
echo "$(grep -vc '^#' "$lines") mistakes planted"
exit "$failed"
