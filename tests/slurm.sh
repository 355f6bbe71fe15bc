#!/bin/bash
# det-train under Slurm, for real: a controller and two nodes, which are network namespaces of this machine (tests/ranks/hosts.sh), with a
# configuration of their own. Needs root and Debian's slurmctld, slurmd, slurm-client and slurm-wlm-basic-plugins; says skipped where
# something is missing. Whatever Slurm runs here otherwise is not touched. make test-slurm calls it with the folder of the programs.
#
#   an srun of two ranks on two nodes writes the bytes of one process; a killed rank ends it, scancel and a requeue save; the requeued job
#   comes to the same bytes
set -eu
bin=$(readlink -f "${1:-build/release/bin}")
root=$(readlink -f "$(dirname "$0")/..")
hosts=$root/tests/ranks/hosts.sh
name=ds$$
skip() { echo "test-slurm: skipped: $*"; exit 0; }
for program in slurmctld slurmd srun sbatch scancel nsenter; do
    command -v $program >/dev/null || skip "$program is not here (slurmctld slurmd slurm-client slurm-wlm-basic-plugins)"
done
case $("$bin/det-info" 2>/dev/null | sed -n 's/^several machines: //p') in
"Open MPI"*) mpi=pmix ;;
MPICH*) mpi=pmi2 ;;
*) skip "libdet was built without Open MPI and MPICH" ;;
esac
folder=$(mktemp -d)
end() {
    "$hosts" down $name
    rm -rf "$folder"
}
trap end EXIT
"$hosts" up $name 2>"$folder/why" || skip "no network namespaces can be made: $(head -n1 "$folder/why")"

fail() {
    echo "test-slurm: $*" >&2
    tail -n 40 "$folder"/*.out "$folder"/*.log >&2 || true
    exit 1
}

# --- the cluster ---

# As hosts.sh's, but /sys stays: slurmd looks for its control groups there.
on() {
    host=$name-$1
    shift
    nsenter --net="/run/netns/$host" unshare --uts sh -c 'hostname "$0" && exec "$@"' "$host" "$@"
}
user() { timeout 120 nsenter --net="/run/netns/$name-a" "$@"; }

export SLURM_CONF=$folder/slurm.conf
mkdir "$folder/state" "$folder/node"
cat >"$SLURM_CONF" <<END
ClusterName=$name
SlurmctldHost=$name-a(10.77.0.1)
AuthType=auth/none
CredType=cred/none
SlurmUser=root
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
NodeName=$name-a NodeAddr=10.77.0.1 CPUs=2
NodeName=$name-b NodeAddr=10.77.0.2 CPUs=2
PartitionName=all Nodes=$name-a,$name-b Default=YES State=UP
END
echo "PMIxCliTmpDirBase=$folder/node" >"$folder/mpi.conf"
on a slurmctld -c -f "$SLURM_CONF"
for end in a b; do
    # Each its own, as two machines have.
    on $end unshare --mount sh -c "mount -t tmpfs node '$folder/node' && exec slurmd -f '$SLURM_CONF'" 2>>"$folder/slurmd.log"
done
for _ in $(seq 100); do
    [ "$(user sinfo -h -o %D -t idle)" = 2 ] && break
    sleep 0.1
done
[ "$(user sinfo -h -o %D -t idle)" = 2 ] || fail "the nodes did not come up"

# --- jobs ---

"$bin/det-demo-data" "$folder/demo" --weights "$root/data/vehicles.det" >/dev/null
train="$bin/det-train --pipeline_config_path $folder/demo/models/demo/pipeline.config --threads 1 --num_train_steps 12
    --checkpoint_every_n 0 --log_every 1 --recalibrate_images 0 --pictures_every 0 --nosummaries --model_dir"
train=$(echo $train)

# A job of two ranks; $job is its number, $out what it writes.
submit() {
    rm -rf "$folder/$1"
    printf '#!/bin/sh\nexec srun --mpi=%s %s --batch_size 8\n' $mpi "$train $folder/$1" >"$folder/job.sh"
    job=$(user sbatch --parsable --nodes=2 --ntasks-per-node=1 --requeue --open-mode=append --output="$folder/%j.out" "$folder/job.sh")
    out=$folder/$job.out
}
state() { user scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z]*\).*/\1/p'; }
# Until the job is in one of these states.
await() {
    for _ in $(seq 600); do
        case " $* " in *" $(state) "*) return ;; esac
        sleep 0.1
    done
    fail "job $job is $(state), not $*"
}
await_line() {
    for _ in $(seq 600); do
        grep -q -- "$1" "$out" 2>/dev/null && return
        sleep 0.1
    done
    fail "job $job never said $1"
}
says() { grep -q -- "$1" "$out" || fail "job $job did not say $1"; }
same() { cmp -s "$folder/$1/ckpt-12.det" "$folder/alone/ckpt-12.det" || fail "$1: other bytes than one process"; }

$train "$folder/alone" --batch_size 4 --accumulate 2 >"$folder/alone.out" 2>&1 || fail "one process"
submit whole
await COMPLETED FAILED
says "2 ranks on 2 machines ($name-a: 1, $name-b: 1)"
same whole
echo "test-slurm: srun --mpi=$mpi: two ranks on two nodes write the bytes of one process"

submit killed
await_line "Step 3 "
for process in $(pgrep -f -- "--model_dir $folder/killed "); do
    if [ "$(readlink "/proc/$process/exe")" = "$bin/det-train" ] && tr '\0' '\n' <"/proc/$process/environ" | grep -qx SLURM_PROCID=1; then
        kill -9 "$process"
    fi
done
await FAILED COMPLETED
says "rank 1 on $name-b is gone"
says "saved $folder/killed/ckpt-"
[ "$(state)" = FAILED ] || fail "a rank was killed, and the job is $(state)"
echo "test-slurm: a killed rank is named, the last step saved, and the job has failed"

submit cancelled
await_line "Step 3 "
user scancel "$job"
await CANCELLED
await_line "saved $folder/cancelled/ckpt-"
echo "test-slurm: scancel saves the last step"

submit requeued
await_line "Step 3 "
user scontrol requeue "$job"
await_line "saved $folder/requeued/ckpt-"
await PENDING
# Slurm lets two minutes pass for a job that is requeued.
user scontrol update jobid="$job" StartTime=now
await COMPLETED FAILED
says "resumed from $folder/requeued/ckpt-"
same requeued
echo "test-slurm: a requeued job goes on, and writes the bytes of one process"
