"""What deploy/ holds, as far as a machine without SLURM, Kubernetes and other hosts can tell."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from search_spaces import load, names
from sweeps.phase_transition import parser
from tests.sweeps.cluster.test_cluster import Nodes
from tests.sweeps.conftest import ROOT, clean_environment, sets, tables_of, wait_until, write_tools

pytestmark = pytest.mark.process

SCRIPT = ROOT / "deploy/slurm.sh"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())

SRUN = """
echo "srun $*" >> "$CALLS"
tasks=1
while [[ "$1" == --* ]]; do
    [[ "$1" == --ntasks=* ]] && tasks=${1#*=}
    shift
done
trap 'kill $(jobs -p); wait; exit 143' TERM
for ((task = 0; task < tasks; task++)); do "$@" & done
wait
"""
"""Tasks of a step, all on this machine; like SLURM's own it hands a SIGTERM on to them."""

RECORD = 'printf "%s\\n" "${0##*/} $*" "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" >> "$CALLS"\n'

RAY = f"""
{RECORD}
[ "$RAY_FAILS" = yes ] && {{ echo broken; exit 1; }}
echo $$ >> "$CALLS.pids"
[ "$2 $3" = "--block --num-cpus=7" ] || exit 1
if [[ "$*" == *--head* ]]; then
    mkdir "$RAY_TMPDIR/ray"
    echo 10.0.0.1:6400 > "$RAY_TMPDIR/ray/ray_current_cluster"
fi
echo 'Ray runtime started.'
exec sleep 600
"""

PYTHON = f"""
[ "$1" = -c ] && exec {sys.executable} "$@"
{RECORD}
trap 'exit 143' TERM
echo training
for ((i = 0; i < SWEEP_TENTHS; i++)); do sleep 0.1; done
exit 3
"""

SCONTROL = 'echo "scontrol $*" >> "$CALLS"\n'


class Job:
    """The batch script in a checkout of its own, as SLURM runs it on the first of its nodes."""

    def __init__(
        self,
        folder: Path,
        arguments: Sequence[str],
        tools: dict[str, str],
        prefix: Sequence[str] = (),
        **more: str,
    ) -> None:
        """Submit it.

        Args:
            folder: that holds the checkout; the same for a job that is put back into the queue.
            arguments: of the sweep.
            tools: programs that are found first, by name.
            prefix: is put before the command.
            more: variables of the environment.
        """
        self._prefixed = bool(prefix)
        self.number = str(zlib.crc32(str(folder).encode()))
        self.calls, self.checkout = folder / "calls", folder / "checkout"
        self._log = folder / f"slurm.{time.monotonic_ns()}.out"
        (self.checkout / "deploy").mkdir(parents=True, exist_ok=True)
        if not (self.checkout / "sweeps").exists():
            (self.checkout / "sweeps").symlink_to(ROOT / "sweeps")
        shutil.copy(SCRIPT, self.checkout / "deploy")
        (folder / "bin").mkdir(exist_ok=True)
        write_tools(folder / "bin", tools)
        slurm = {"JOB_ID": self.number, "SUBMIT_DIR": str(self.checkout), "NNODES": "2", "CPUS_PER_TASK": "7"}
        environment = clean_environment(folder / "home") | {
            f"SLURM_{name}": text for name, text in slurm.items()
        }
        environment |= {"CALLS": str(self.calls), "SLURM_CPUS_ON_NODE": "7"} | more
        environment["PATH"] = f"{folder / 'bin'}:{Path(sys.executable).parent}:{environment['PATH']}"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [*prefix, "bash", str(self.checkout / "deploy/slurm.sh"), *arguments],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it printed."""
        return self._log.read_text()

    def until(self, text: str) -> None:
        """Wait until it has printed a text."""
        wait_until(lambda: text in self.output or self.process.poll() is not None, text, 600)
        assert text in self.output, self.output

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the script alone, as SLURM does, past what is put before it."""
        pid = self.process.pid
        if self._prefixed:
            (pid,) = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        os.kill(pid, number)

    def end(self) -> None:
        """Kill what is left of it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture
def submit(tmp_path) -> Iterator[Callable[..., Job]]:
    """Return the submission of jobs, of which nothing outlives the test."""
    jobs = []

    def start(*arguments: str, **options: object) -> Job:
        jobs.append(Job(tmp_path, arguments, **options))
        return jobs[-1]

    yield start
    for job in jobs:
        job.end()


FAKES = {"srun": SRUN, "ray": RAY, "python": PYTHON, "scontrol": SCONTROL}


@pytest.mark.parametrize(
    ("sent", "code", "requeued"),
    [(None, 3, False), (signal.SIGUSR1, 143, True), (signal.SIGTERM, 143, False)],
    ids=["ends by itself", "its time is up", "cancelled"],
)
def test_a_slurm_job_is_a_cluster_of_its_own_that_ends_with_it(submit, sent, code, requeued):
    job = submit("--space", "a b", tools=FAKES, SWEEP_TENTHS="600" if sent else "0")
    if sent:
        job.until("training")
        job.process.send_signal(sent)
    assert job.process.wait(60) == code, job.output
    calls = job.calls.read_text().splitlines()
    token = calls[1].removeprefix("token ")
    assert len(token) == 64
    nodes = "ray start --block --num-cpus=7 --min-worker-port=0 --max-worker-port=0 "
    nodes += "--dashboard-agent-listen-port=0"
    head, *others = [line for line in calls if line.startswith("ray ")]
    assert head.startswith(f"{nodes} --head --port=0 --ray-client-server-port=")
    assert others == [f"{nodes} --address=10.0.0.1:6400"]
    assert "python sweeps/phase_transition.py --address auto --space a b" in calls
    assert calls.count(f"token {token}") == 3, "both nodes and the sweep have it"
    assert not any(token in line for line in calls if line != f"token {token}"), (
        "and no command line shows it"
    )
    assert (f"scontrol requeue {job.number}" in calls) == requeued
    assert "2 of 2 nodes are there" in job.output
    for pid in Path(f"{job.calls}.pids").read_text().split():
        assert not Path(f"/proc/{pid}").exists(), "a node outlives its job"
    assert not any(Path("/tmp").glob(f"ouvae-{job.number}-*"))  # noqa: S108 - where the script makes it


def test_a_slurm_job_whose_ray_does_not_start_says_so(submit):
    job = submit(tools=FAKES, RAY_FAILS="yes", SLURM_NNODES="1")
    assert job.process.wait(60) == 1
    assert job.output.startswith(f"error: Ray did not start on this node; see runs/ray-{job.number}.log")
    assert "broken" in (job.checkout / f"runs/ray-{job.number}.log").read_text()
    assert "python sweeps" not in job.calls.read_text()


@pytest.mark.proof
def test_a_slurm_job_whose_time_is_up_goes_on_in_the_queue(submit, start_sweep, tmp_path):
    """On two real nodes: the second run of the same command ends with the tables of an uninterrupted one."""
    settings = ("variants=[]", "latents=[[4, 4]]", "seeds=1", "search=grid", "pack_size=1")
    longer = ("--space", "digits", *sets([*settings, "steps=400", "eval_every=200"]))
    nodes = Nodes(tmp_path, Path(sys.executable), tmp_path)
    out = tmp_path / "shared/run"
    options = {"tools": {"srun": SRUN, "scontrol": SCONTROL}, "prefix": nodes.prefix}
    options |= {"SLURM_CPUS_ON_NODE": "1"}
    try:
        job = submit(*longer, "--out", str(out), **options)
        job.until("Ray: 2 nodes, 2 CPUs: 2 packs at once")
        wait_until(lambda: any(out.glob("fragments/*.members.parquet")), "a pack is finished")
        job.signal(signal.SIGUSR1)
        assert job.process.wait(120) == 143, job.output
        assert f"scontrol requeue {job.number}" in job.calls.read_text()
        again = submit(*longer, "--out", str(out), **options, SLURM_RESTART_COUNT="1")
        assert again.process.wait(1500) == 0, again.output
        assert "5 members are there already" not in again.output
        assert " 0 members are there already" not in again.output
        assert "does not see" not in job.output + again.output
    finally:
        nodes.end()
    here = start_sweep("slurm_here", *longer[2:], "--address", "serial", space=Path("digits"))
    assert here.wait() == 0, here.output
    assert tables_of(out) == here.tables()


def pinned(name: str) -> str:
    return re.search(rf"^{name}==(.*)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)[1]


def rayjob() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy/rayjob.yaml").read_text())


def test_the_rayjob_is_one_by_kuberays_schema():
    schema = yaml.safe_load(Path(__file__).with_name("rayjob_schema.yaml").read_text())
    jsonschema.validate(rayjob(), schema)
    misspelt = rayjob()
    misspelt["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParam"] = {}
    with pytest.raises(jsonschema.ValidationError, match="rayStartParam"):
        jsonschema.validate(misspelt, schema)


def test_the_rayjob_trains_on_workers_that_share_what_the_sweep_writes():
    spec = rayjob()["spec"]
    cluster = spec["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [group["template"]["spec"] for group in (head, workers)]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    assert len({str(container["volumeMounts"]) for container in containers}) == 1
    assert len({str(pod["volumes"]) for pod in pods}) == 1
    ((mount,), (volume,)) = containers[0]["volumeMounts"], pods[0]["volumes"]
    assert mount["name"] == volume["name"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["rayVersion"] == pinned("ray")
    command, *arguments = shlex.split(spec["entrypoint"])
    assert command == "ouvae-sweep"
    given = parser().parse_args(arguments)
    assert given.address == "auto"
    assert Path(mount["mountPath"]) in given.out.parents
    assert Path(mount["mountPath"]) in given.data_dir.parents
    space = load(given.space, given.overrides, given.budget)
    assert space.device == "cuda", "no node is there at first that could tell"
    resources = containers[1]["resources"]["limits"]
    assert int(resources["cpu"]) >= space.cpus_per_pack
    assert int(resources["nvidia.com/gpu"]) >= space.gpus_per_pack
    stopping = yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]
    assert stopping["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    assert float(stopping["RAY_JOB_STOP_WAIT_TIME_S"]) > space.grace_seconds


def test_the_image_has_every_package_and_what_a_cluster_needs():
    lines = (ROOT / "deploy/Dockerfile").read_text().splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    assert copied >= {name.partition(".")[0] for name in SETTINGS["tool"]["setuptools"]["packages"]}
    assert copied >= {"pyproject.toml", "constraints.txt", *SETTINGS["project"]["license-files"]}
    assert lines[-1].endswith('-c constraints.txt ".[dashboard]"')


def test_ray_takes_the_config_of_a_cluster_on_machines_of_ones_own():
    """By Ray's own schema, which knows no other keys; the commands send and demand the token."""
    from ray.autoscaler import sdk  # Ray is imported where it is needed alone

    given = yaml.safe_load((ROOT / "deploy/cluster.yaml").read_text())
    config = sdk.bootstrap_config(given, no_config_cache=True)
    assert (config["provider"]["type"], config["max_workers"]) == ("local", 2)
    with pytest.raises(jsonschema.ValidationError, match="worker_start_command"):
        sdk.bootstrap_config(given | {"worker_start_command": []}, no_config_cache=True)
    for role in ("head", "worker"):
        *_, start = config[f"{role}_start_ray_commands"]
        assert "RAY_AUTH_MODE=token ray start" in start
        assert subprocess.run(["bash", "-n", "-c", start], check=False).returncode == 0
    assert config["file_mounts"] == {"~/.ray/auth_token": "~/.ray/auth_token"}


def test_the_rented_machine_runs_the_readmes_install_and_the_command():
    task = yaml.safe_load((ROOT / "deploy/skypilot.yaml").read_text())
    for script in ("setup", "run"):
        subprocess.run(["bash", "-n", "-c", task[script]], check=True)
    assert "pip install -c constraints.txt -e ." in task["setup"]
    command = task["run"].splitlines()[-1].replace('"$SPACE"', task["envs"]["SPACE"]).replace("$OPTIONS", "")
    script, *arguments = shlex.split(command.removeprefix("python "))
    assert (ROOT / script).is_file()
    assert parser().parse_args(arguments).space in names()


def test_a_submitted_job_is_the_command_and_writes_where_all_see_it(tmp_path):
    write_tools(tmp_path, {"ray": 'printf "%s\\n" "$PWD" "$@"\n'})

    def submit(*arguments: str) -> subprocess.CompletedProcess:
        path = f"{tmp_path}:{os.environ['PATH']}"
        command = [str(ROOT / "deploy/job.sh"), *arguments]
        return subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True)

    refused = submit("--space", "digits", "--out", "runs/digits")
    assert refused.returncode == 2
    assert "error: no --out with an absolute path; name one that all nodes see" in refused.stderr
    folder, *words = submit("--set", "hidden=[8, 8]", "--out", "/shared/a b").stdout.splitlines()
    assert folder == str(ROOT)
    assert words[:4] == ["job", "submit", "--working-dir", "."]
    assert json.loads(words[words.index("--runtime-env-json") + 1]).keys() == {"env_vars"}
    assert words[words.index("--") + 1 :] == [
        *("python", "sweeps/phase_transition.py", "--address", "auto"),
        *("--set", "hidden=[8, 8]", "--out", "/shared/a b"),
    ]


@pytest.fixture
def one_gpu(tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return the start of deploy/one_gpu.sh with stand-ins for programs; nothing outlives the test."""
    started = []

    def start(*arguments: str, tools: dict[str, str], **more: str) -> subprocess.Popen:
        write_tools(tmp_path, tools)
        environment = clean_environment(tmp_path / "home") | {"CALLS": str(tmp_path / "calls")} | more
        environment["PATH"] = f"{tmp_path}:{Path(sys.executable).parent}:{environment['PATH']}"
        process = subprocess.Popen(
            [str(ROOT / "deploy/one_gpu.sh"), *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


STRETCH = """
echo "GPU $CUDA_VISIBLE_DEVICES: $*" >> "$CALLS"
trap 'echo stopped >> "$CALLS"; exit 143' TERM
[ "$(grep -c stopped "$CALLS")" -lt "$NEEDS" ] || exit "$ENDS_WITH"
touch "$CALLS.training"
for ((i = 0; i < 600; i++)); do sleep 0.1; done
"""
"""A sweep that is finished once it was stopped so many times."""

NAP = """
[[ "$1" == *m ]] || exec /bin/sleep "$1"
echo "sleep $1" >> "$CALLS"
until [ -e "$CALLS.training" ]; do /bin/sleep 0.05; done
rm "$CALLS.training"
"""
"""Minutes that are over as soon as the sweep trains."""


@pytest.mark.parametrize(
    ("more", "code", "stretches"),
    [({}, 0, 3), ({"STRETCHES": "1"}, 75, 1), ({"ENDS_WITH": "2", "NEEDS": "0"}, 2, 1)],
    ids=["to the end", "one stretch", "an error"],
)
def test_one_gpu_goes_on_by_the_same_command_until_the_space_is_finished(
    one_gpu, tmp_path, more, code, stretches
):
    given = {"NEEDS": "2", "ENDS_WITH": "0"} | more
    process = one_gpu("table6", "size", "--out", "/a b", tools={"python": STRETCH, "sleep": NAP}, **given)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    calls = (tmp_path / "calls").read_text().splitlines()
    command = "GPU 0: sweeps/paper.py table6 --budget size --address serial --set device=cuda --out /a b"
    assert calls.count(command) == stretches
    assert {line for line in calls if line.startswith("sleep")} <= {"sleep 9m"}
    assert calls.count("sleep 9m") >= calls.count("stopped"), "the last sweep may end before its timer begins"
    assert calls.count("stopped") == min(stretches, int(given["NEEDS"]))
    assert ("run the same command again" in output) == (code == 75)


def test_one_gpu_stops_with_its_sweep(one_gpu, tmp_path):
    tools = {"python": STRETCH, "sleep": NAP.replace("rm ", "exec /bin/sleep 60 #")}
    process = one_gpu("table6", "size", tools=tools, NEEDS="9", ENDS_WITH="0")
    wait_until((tmp_path / "calls.training").exists, "the sweep trains")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 143, output
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "stopped"


def test_one_gpu_asks_for_a_space_and_a_budget(one_gpu):
    process = one_gpu("table6", tools={})
    assert process.wait(60) == 2
    assert "name both, for example: deploy/one_gpu.sh table6 size" in process.stdout.read()
