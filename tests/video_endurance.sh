#!/bin/bash
# video_endurance.sh BUILD [FRAMES]: det-detect over a long video (10,500 frames, 320 x 180) with tracks and an annotated copy; memory and
# processor time every 500 frames. Fails when memory grows by more than 5 MB or a frame's processor time by more than 30 % after the first 1,000 frames.
set -euo pipefail
bin=$1/bin frames=${2:-10500}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$bin/det-demo-data" --video "$folder/short.mp4" --seconds 10 --size 320x180 > /dev/null
ffmpeg -v error -stream_loop -1 -i "$folder/short.mp4" -an -c copy -frames:v "$frames" "$folder/long.mp4"
"$bin/det-detect" data/vehicles.det "$folder/long.mp4" --quiet --threshold 0.5 --count_line 0,0.62,1,0.62 --counts "$folder/counts.json" \
  --json - --output "$folder/out.mp4" > "$folder/lines.jsonl" 2> "$folder/log" &
pid=$!
echo "frame  RSS MB  processor s  ms a frame"
ticks=$(getconf CLK_TCK) last=0 last_cpu=0 next=500
while kill -0 $pid 2> /dev/null; do
  sleep 0.2
  done=$(wc -l < "$folder/lines.jsonl")
  [ "$done" -ge "$next" ] || continue
  rss=$(awk '/^VmRSS/ { print $2 }' /proc/$pid/status 2> /dev/null) || break
  cpu=$(awk -v t="$ticks" '{ print ($14 + $15) / t }' /proc/$pid/stat 2> /dev/null) || break
  [ -n "$rss" ] && [ -n "$cpu" ] || break
  echo "$done $rss $cpu $last $last_cpu" | awk '{ printf "%5d %7.1f %12.1f %11.2f\n", $1, $2 / 1024, $3, 1000 * ($3 - $5) / ($1 - $4) }' | tee -a "$folder/table"
  last=$done last_cpu=$cpu next=$((done / 500 * 500 + 500))
done
wait $pid || { cat "$folder/log"; exit 1; }
[ "$(wc -l < "$folder/lines.jsonl")" -eq "$frames" ] || { echo "not every frame came out"; exit 1; }
awk '$1 >= 1000 && !first { first = 1; rss = $2; ms = $4 } END {
  printf "from frame 1,000 to the last: %.1f to %.1f MB, %.2f to %.2f ms a frame\n", rss, $2, ms, $4
  exit !($2 <= rss + 5 && $4 <= 1.3 * ms) }' "$folder/table"
