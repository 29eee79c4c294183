#!/usr/bin/env bash
# Runs a sweep on all nodes of a SLURM job. Submit it from the checkout, with any arguments of the command:
#
#   sbatch --nodes=4 --gpus-per-node=4 deploy/slurm.sh --space mnist_mlp --out /shared/me/runs/mnist_mlp
#
# All nodes must see the checkout, its .venv (or the active environment) and --out at the same paths. Two minutes before
# the time limit the sweep saves its packs and the job returns to the queue, from where the same command resumes. The
# job is also requeued after a preemption or the loss of its first node. A sweep continues without other lost nodes.
#
#SBATCH --job-name=ouvae
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --no-kill
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?is not set: submit this script with sbatch, from the checkout}"
if [ -f .venv/bin/activate ]; then
    # shellcheck source=/dev/null
    . .venv/bin/activate
fi
mkdir -p runs
log="runs/ray-$SLURM_JOB_ID.log"
nodes_wait_seconds=180

# The cluster belongs to this job only: it has its own folder, token and ports. srun passes variables to the other nodes.
# The token is on no command line, because all users of a node can read those.
export RAY_TMPDIR="/tmp/ouvae-$SLURM_JOB_ID-${SLURM_RESTART_COUNT:-0}"
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
export RAY_AUTH_TOKEN
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" # srun does not inherit it
client_port=$(python -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
# shellcheck disable=SC2016 # each node has its own number of CPUs
start='umask 077 && mkdir -p "$RAY_TMPDIR" && exec ray start --block --num-cpus="$SLURM_CPUS_ON_NODE" \
    --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0 "$@"'

nodes=()
close() {
    trap - EXIT
    kill "${nodes[@]}" 2>/dev/null || true
    wait "${nodes[@]}" || true
    srun --overlap --nodes="$SLURM_NNODES" --ntasks="$SLURM_NNODES" rm -rf "$RAY_TMPDIR" || true
}
trap close EXIT

bash -c "$start" - --head --port=0 --ray-client-server-port="$client_port" --include-dashboard=false >"$log" 2>&1 &
nodes+=($!)
address_file="$RAY_TMPDIR/ray/ray_current_cluster" # `--address auto` reads it too
until [ -s "$address_file" ]; do
    kill -0 "${nodes[0]}" 2>/dev/null || { echo "error: Ray did not start on this node; see $log" >&2; exit 1; }
    sleep 0.5
done

others=$((SLURM_NNODES - 1))
if [ "$others" -gt 0 ]; then
    srun --relative=1 --nodes="$others" --ntasks="$others" --no-kill --kill-on-bad-exit=0 \
        bash -c "$start" - --address="$(<"$address_file")" >>"$log" 2>&1 &
    nodes+=($!)
fi
joined() { grep -c 'Ray runtime started' "$log" || true; }
while [ "$(joined)" -lt "$SLURM_NNODES" ] && [ "$SECONDS" -lt "$nodes_wait_seconds" ]; do sleep 1; done
echo "$(joined) of $SLURM_NNODES nodes are there; those that come later are used then"

python sweeps/phase_transition.py --address auto "$@" &
sweep=$!
again=''
trap 'signalled=yes again=yes; kill -TERM "$sweep" || true' USR1
trap 'signalled=yes; kill -TERM "$sweep" || true' TERM INT
while true; do
    signalled='' code=0
    wait "$sweep" || code=$?
    [ -n "$signalled" ] || break # otherwise the signal ended the wait
done

close
if [ -n "$again" ] && [ "$code" -eq 143 ]; then
    echo 'the time is up: back into the queue, where the same command goes on'
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
