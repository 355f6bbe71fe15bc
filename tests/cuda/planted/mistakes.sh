#!/bin/sh
# mistakes.sh [WORD]: plants each mistake of mistakes.txt (those whose line holds WORD) in a copy of the sources and runs the emulated
# tests that must notice it. Exit status: 0 each was noticed, 1 not so, 2 the tests fail without any. The copy is build/planted; what
# is built there stays for the next run.
set -u
cd "$(dirname "$0")/../../.."
copy=build/planted
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$copy"
build() { make -s -C "$copy" CONFIG=cuda-emu build-cuda-emu > "$copy/build.log" 2>&1; }
passes() { (cd "$copy" && timeout 900 build/cuda-emu/bin/det-cuda-emu-tests "$1" > test.log 2>&1); }
build || { tail -40 "$copy/build.log"; exit 2; }
lines=$copy/lines
grep -v -e '^#' -e '^$' tests/cuda/planted/mistakes.txt | grep -F -e "${1:-|}" > "$lines"
for group in $(cut -d '|' -f 2 "$lines" | sort -u); do
    passes "$group" || { echo "$group fails as it is"; tail -40 "$copy/test.log"; exit 2; }
done
failed=0
while IFS='|' read -r file group expression; do
    file=$(echo "$file" | tr -d ' ') group=$(echo "$group" | tr -d ' ')
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
build # without the last one: the next run takes sources that look older than what is built
echo "$(wc -l < "$lines") mistakes planted"
exit "$failed"
