#!/usr/bin/env bash
# Runs a space of the paper on one GPU, in stretches. From the checkout, with any options of the command:
#
#   deploy/one_gpu.sh table6 size --out /data/me/runs/table6-size
#
# The sweep is stopped after MINUTES (default 9) and saves its packs within grace_seconds. The next stretch resumes it,
# until the space is finished. If a job may last only one stretch, set STRETCHES=1: the script ends after one stretch
# with code 75 while the space is not finished. Submit it again until it ends with 0.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo 'error: no space and budget; name both, for example: deploy/one_gpu.sh table6 size' >&2
    exit 2
fi
name=$1 budget=$2
shift 2
cd "$(dirname "$0")/.."
minutes=${MINUTES:-9}
stretches=${STRETCHES:-0} # 0: until the space is finished
export CUDA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-0}"

sweep='' timer='' stopped=''
trap 'stopped=yes; kill -TERM "$sweep" 2>/dev/null || true' TERM
trap 'stopped=yes' INT # a terminal sends it to the sweep too
trap 'kill "$timer" 2>/dev/null || true' EXIT
alive() { kill -0 "$1" 2>/dev/null; }

for ((count = 1; ; count++)); do
    python sweeps/paper.py "$name" --budget "$budget" --address serial --set device=cuda "$@" &
    sweep=$!
    sleep "${minutes}m" &
    timer=$!
    wait -n "$sweep" "$timer" || true
    over=''
    if alive "$sweep" && ! alive "$timer"; then
        over=yes
        kill -TERM "$sweep" 2>/dev/null || true
    fi
    while true; do
        code=0
        wait "$sweep" || code=$?
        alive "$sweep" || break # otherwise a signal ended the wait
    done
    kill "$timer" 2>/dev/null || true
    if [ -n "$stopped" ] || [ -z "$over" ] || [ "$code" -ne 143 ]; then
        exit "$code"
    fi
    echo "stretch $count of $minutes minutes is over"
    if [ "$count" -eq "$stretches" ]; then
        echo 'the space is not finished; run the same command again'
        exit 75
    fi
done
