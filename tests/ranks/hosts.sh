#!/bin/sh
# Two hosts on this machine: network namespaces NAME-a and NAME-b, 10.77.0.1 and 10.77.0.2 on the two ends of
# a link, each with its own host name, so that Open MPI and libdet take them for two machines. Needs root.
#
#   hosts.sh up NAME              make them; says why it can not on standard error
#   hosts.sh third NAME           one more, NAME-c, 10.77.1.2, on a link of its own to NAME-a, which hands on what goes between b and c
#   hosts.sh down NAME            end all that runs there, and remove them; no failure where there are none
#   hosts.sh cut|join NAME        the link between a and b
#   hosts.sh part|reunite NAME    what goes between b and c; both go on reaching a
#   hosts.sh on NAME a|b|c COMMAND...
#   hosts.sh mpirun NAME COMMAND...   mpirun of Open MPI on host a: a rank on each, words of mpirun's included
#   hosts.sh shape NAME RATE BYTES    what the link carries each way (tc's words: 1gbit), BYTES at once
#   hosts.sh address NAME             10.78.0.1 and 10.78.0.2 for NAME-ta and NAME-tb, a second link that somebody made (bench/ranks/delayed_link.c)
set -eu

host() { echo "$1-$2"; }

# The host's name goes with the process and those that it starts.
on() {
    host=$(host "$1" "$2")
    shift 2
    ip netns exec "$host" unshare --uts sh -c 'hostname "$0" && exec "$@"' "$host" "$@"
}

up() {
    for end in a b; do
        ip netns add "$(host "$1" $end)"
        ip netns exec "$(host "$1" $end)" ip link set lo up
    done
    ip link add "$1-a" netns "$(host "$1" a)" type veth peer name "$1-b" netns "$(host "$1" b)"
    join "$1"
    on "$1" b true # host names may be forbidden, too
}

# The addresses stay when a link goes down; they are given when it first comes up.
join() {
    number=1
    for end in a b; do
        ip netns exec "$(host "$1" $end)" ip address replace 10.77.0.$number/24 dev "$1-$end"
        ip netns exec "$(host "$1" $end)" ip link set "$1-$end" up
        number=2
    done
    for end in a b; do
        # The system takes up to a second until it carries something.
        until [ "$(ip netns exec "$(host "$1" $end)" cat "/sys/class/net/$1-$end/operstate")" = up ]; do sleep 0.05; done
    done
}

third() {
    ip netns add "$(host "$1" c)"
    ip link add "$1-ac" netns "$(host "$1" a)" type veth peer name "$1-c" netns "$(host "$1" c)"
    ip netns exec "$(host "$1" c)" ip link set lo up
    ip netns exec "$(host "$1" a)" ip address add 10.77.1.1/24 dev "$1-ac"
    ip netns exec "$(host "$1" a)" ip link set "$1-ac" up
    ip netns exec "$(host "$1" c)" ip address add 10.77.1.2/24 dev "$1-c"
    ip netns exec "$(host "$1" c)" ip link set "$1-c" up
    ip netns exec "$(host "$1" b)" ip route add 10.77.1.0/24 via 10.77.0.1
    ip netns exec "$(host "$1" c)" ip route add 10.77.0.0/24 via 10.77.1.1
    hand_on "$1" 1
}

hand_on() {
    ip netns exec "$(host "$1" a)" sh -c 'echo "$0" > /proc/sys/net/ipv4/ip_forward' "$2"
}

down() {
    for end in a b c; do
        [ -e "/run/netns/$(host "$1" $end)" ] || continue
        for process in $(ip netns pids "$(host "$1" $end)"); do
            kill -9 "$process" 2>/dev/null || true
        done
        ip netns delete "$(host "$1" $end)"
    done
}

shape() {
    for end in a b; do
        ip netns exec "$(host "$1" $end)" tc qdisc replace dev "$1-$end" root handle 1: tbf rate "$2" burst "$3" latency 50ms
    done
}

address() {
    number=1
    for end in a b; do
        ip netns exec "$(host "$1" $end)" ip address add 10.78.0.$number/24 dev "$1-t$end"
        ip netns exec "$(host "$1" $end)" ip link set "$1-t$end" mtu 1500 up
        number=2
    done
}

# In the place of ssh: hosts.sh NAME HOST COMMAND..., the command for a shell.
agent() {
    name=$1 address=$2
    shift 2
    case $address in
    10.77.0.1) on "$name" a sh -c "$*" ;;
    10.77.0.2) on "$name" b sh -c "$*" ;;
    10.77.1.2) on "$name" c sh -c "$*" ;;
    *) echo "hosts.sh: no host $address" >&2; exit 1 ;;
    esac
}

case $1 in
up) trap 'down "$2"' INT TERM; up "$2" || { down "$2"; exit 1; } ;;
down) down "$2" ;;
cut) ip netns exec "$(host "$2" a)" ip link set "$2-a" down ;;
join) join "$2" ;;
third) third "$2" ;;
part) hand_on "$2" 0 ;;
reunite) hand_on "$2" 1 ;;
shape) shape "$2" "$3" "$4" ;;
address) address "$2" ;;
on) shift; on "$@" ;;
agent) shift; agent "$@" ;;
mpirun)
    name=$2
    hosts=10.77.0.1,10.77.0.2 ranks=2
    if [ -e "/run/netns/$(host "$name" c)" ]; then
        hosts=$hosts,10.77.1.2 ranks=3
    fi
    shift 2
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    on "$name" a mpirun.openmpi --mca plm_rsh_agent "$(readlink -f "$0") agent $name" --bind-to none --mca btl tcp,self \
        --host "$hosts" -n "$ranks" "$@"
    ;;
*) sed -n '2,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
