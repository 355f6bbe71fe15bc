#!/bin/bash
# video_valgrind.sh BUILD: det-detect on four frames with audio, of an even and an odd size, under valgrind: tracks, JSON lines, an annotated copy. Nothing is suppressed. "Possibly
# lost" is not looked at: the dynamic linker keeps the thread-local tables of libraries that were loaded later only by pointers into them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ffmpeg -v error -f lavfi -i testsrc2=s=96x64:r=25 -f lavfi -i sine -t 0.16 -c:v libx264 -c:a aac "$folder/even.mp4"
ffmpeg -v error -f lavfi -i rgbtestsrc=s=97x63:r=25 -f lavfi -i sine -t 0.16 -c:v libx264 -pix_fmt yuv444p -c:a aac "$folder/odd.mp4"
for size in even odd; do
  DET_CPU=sse2 valgrind --quiet --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect --error-exitcode=9 --keep-debuginfo=yes \
    "$1/bin/det-detect" data/vehicles.det --video "$folder/$size.mp4" --threads 2 --threshold 0.5 --count_line 0,0.5,1,0.5 --json "$folder/$size.jsonl" --output "$folder/$size.out.mp4"
  [ "$(wc -l < "$folder/$size.jsonl")" -eq 4 ]
done
