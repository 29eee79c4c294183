#!/usr/bin/env bash
# Submits a sweep to a running Ray cluster. The job continues after this terminal is closed. From the checkout:
#
#   RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265 deploy/job.sh --space mnist_mlp --out /shared/me/runs/mnist_mlp
#
# The address is that of the cluster's dashboard. `ssh -L 8265:127.0.0.1:8265 HEAD` forwards it from another machine.
# RAY_AUTH_MODE=token sends the token that the cluster requires. The checkout is uploaded. --out must lie on a file
# system that all nodes see. `ray job stop ID` lets the packs in training save their states.
set -euo pipefail

case " $* " in
    *" --out /"* | *" --out=/"*) ;;
    *)
        echo 'error: no --out with an absolute path; name one that all nodes see, as a job has its folder to itself' >&2
        exit 2
        ;;
esac
cd "$(dirname "$0")/.."
# By default Ray stops a job with SIGTERM to all of its processes, including Ray's, and kills it after 3 s.
exec ray job submit --working-dir . --runtime-env-json \
    '{"env_vars": {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": "30"}}' \
    -- python sweeps/phase_transition.py --address auto "$@"
