#!/bin/sh
# gpu_groups.sh EACH RUNNER GROUP... [-- COMMAND...]: test groups of a runner, each in a process of its own, so that a kernel that traps or
# hangs takes no other group with it; COMMAND (compute-sanitizer and its options) goes before it. A group has EACH seconds, all of
# them have DET_GPU_SECONDS. One JSON row a group on stdout; what the tests print, and the sum as a last line, on stderr. Exit
# status: 0 all passed, 1 one failed, 3 none failed, but one was cut off or not reached.
set -u
deadline=$(($(date +%s) + ${DET_GPU_SECONDS:-3600}))
each=$1 runner=$2
shift 2
groups="" total=0
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    groups="$groups $1" total=$((total + 1))
    shift
done
[ $# -eq 0 ] || shift

# timeout gives the group's processes a process group of their own: who ends this script must end them, too.
child=""
trap '[ -z "$child" ] || kill "$child" 2>/dev/null; exit 143' TERM INT HUP

passed=0 failed="" cut="" left=""
for group in $groups; do
    start=$(date +%s)
    room=$((deadline - start))
    if [ "$room" -lt 1 ]; then
        left="$left $group"
        continue
    fi
    [ "$room" -lt "$each" ] || room=$each
    timeout -k 2 "$room" "$@" "$runner" "=$group" >&2 &
    child=$!
    wait "$child"
    status=$?
    child=""
    case $status in
    0) ended=passed passed=$((passed + 1)) ;;
    124 | 137) ended="cut off" cut="$cut $group" ;;
    *) ended=failed failed="$failed $group" ;;
    esac
    printf '{"kind": "group", "part": "%s", "group": "%s", "result": "%s", "status": %s, "seconds": %s}\n' \
        "${DET_GPU_PART:-tests}" "$group" "$ended" "$status" "$(($(date +%s) - start))"
done
echo "$passed of $total groups passed${failed:+; failed:$failed}${cut:+; cut off:$cut}${left:+; not reached:$left}" >&2
[ -z "$failed" ] && [ "$total" -gt 0 ] || exit 1
[ -z "$cut$left" ] || exit 3
