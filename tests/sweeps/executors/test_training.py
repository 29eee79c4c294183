"""What a pack asks for and where members train, without a cluster."""

import os
import re
import shlex
import sys
from collections import deque
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from ouvae.data import load as load_data
from search_spaces import load
from sweeps import SweepError
from sweeps.cluster import dashboard, messages, tokens
from sweeps.cluster.environment import environment, plain_python
from sweeps.cluster.messages import Resources
from sweeps.cluster.process import RayProcess
from sweeps.executors import training
from sweeps.executors.training import Trainer, describe, device_of, resources_of
from sweeps.machine.interrupts import Interrupts
from sweeps.record.run_directory import RunDirectory
from sweeps.worker.task import Task
from sweeps.worker.work import PackWork

SMALL, LARGE, GPUS = {"CPU": 2.0, "GPU": 0.0}, {"CPU": 7.0}, {"CPU": 8.0, "GPU": 4.0}


@pytest.mark.parametrize(
    ("resources", "nodes", "room"),
    [
        (Resources(1, 0), [SMALL], 2),
        (Resources(2, 0), [SMALL, LARGE], 4),
        (Resources(4, 0), [SMALL, LARGE], 1),
        (Resources(8, 0), [SMALL, LARGE], 0),
        (Resources(1, 1), [SMALL, GPUS], 4),
        (Resources(3, 1), [GPUS], 2),
        (Resources(1, 0.1), [GPUS], 8),
        (Resources(1, 0.5), [{"CPU": 99.0, "GPU": 3.0}], 6),
        (Resources(1, 0), [], 0),
    ],
)
def test_room_is_counted_a_node(resources, nodes, room):
    """A pack runs on one node: what is left on two of them does not add up."""
    assert resources.room_in(nodes) == room


def test_a_device_is_what_the_space_says_else_what_was_there_else_what_the_nodes_have():
    auto, cpu, cuda = (load("digits", [f"device={device}"]) for device in ("auto", "cpu", "cuda"))
    assert device_of(cpu, [GPUS], "cuda") == "cpu"
    assert device_of(cuda, [], None) == "cuda"
    assert device_of(auto, [GPUS], "cpu") == "cpu"
    assert device_of(auto, [], "cuda") == "cuda"
    assert device_of(auto, [SMALL, GPUS], None) == "cuda"
    assert device_of(auto, [SMALL], None) == "cpu"
    with pytest.raises(SweepError, match=r"no node with room for a pack yet.*set device=cuda or device=cpu"):
        device_of(auto, [{"CPU": 0.0}], None)


def test_only_packs_on_gpus_ask_for_one():
    space = load("digits", ["gpus_per_pack=0.5", "cpus_per_pack=2"])
    assert str(resources_of(space, "cuda")) == "2 CPUs and 0.5 GPU"
    assert str(resources_of(space, "cpu")) == "2 CPUs"
    assert describe([SMALL, GPUS], resources_of(space, "cuda")) == "2 nodes, 10 CPUs, 4 GPUs: 4 packs at once"


def test_a_local_ray_has_a_token_of_its_own_and_no_other_address(monkeypatch):
    ours = {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"}
    others = {"RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_CONFIG_JSON_ENV_VAR"}
    for name in ours | others:
        monkeypatch.setenv(name, "the user's")
    local, other = environment(None, False, Path()), environment(None, False, Path())
    assert len({local["RAY_AUTH_TOKEN"], other["RAY_AUTH_TOKEN"], "the user's"}) == 3
    assert local["RAY_AUTH_MODE"] == "token"
    assert others.isdisjoint(local)


@pytest.mark.parametrize(("token", "mode"), [(True, "token"), (False, "disabled")])
def test_a_cluster_is_shown_the_users_token_if_it_demands_one(monkeypatch, token, mode):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "mine")
    values = environment("127.0.0.1:6379", token, Path())
    assert (values["RAY_AUTH_TOKEN"], values["RAY_AUTH_MODE"]) == ("mine", mode)


def test_a_token_is_looked_for_where_ray_does(tmp_path):
    home, named = tmp_path / "home", tmp_path / "named"
    values = {"HOME": str(home)}
    assert tokens.find(values)[0] == ""
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("of the home\n")
    assert tokens.find(values) == ("of the home", str(home / ".ray" / "auth_token"))
    named.write_text("named")
    assert tokens.find(values | {"RAY_AUTH_TOKEN_PATH": str(named)}) == ("named", str(named))
    assert tokens.find(values | {"RAY_AUTH_TOKEN": "given"}) == ("given", "RAY_AUTH_TOKEN")


@pytest.mark.parametrize(
    ("folder", "minutes", "blind"), [("checkpoints", 5, False), ("unseen", 5, True), ("unseen", 0, False)]
)
def test_a_pack_knows_that_its_state_cannot_be_saved(tmp_path, make_space, folder, minutes, blind):
    (tmp_path / "checkpoints").mkdir()
    data = load_data("digits")
    work = PackWork(
        Task(
            pack_id="p",
            cell=make_space(hidden=[4]).cells()[0],
            members=[(1.0, 0)],
            data=data.digest,
            device="cpu",
            threads=1,
            evaluation_bytes=2**30,
            checkpoint=str(tmp_path / folder / "p.pt"),
            checkpoint_seconds=60 * minutes,
        ),
        data,
    )
    work.save()
    assert work.blind == blind
    assert (tmp_path / "checkpoints/p.pt").exists() == (folder == "checkpoints")


class Saying:
    """A Ray process that says what it is given, whatever it is told; started again it says the next of it."""

    def __init__(self, *said: object, again: Sequence[object] = ()) -> None:
        self._said, self._again = deque([*said, messages.Ended()]), again
        self.starts = 1

    def send(self, message: object) -> None: ...

    def receive(self, timeout: float) -> object:
        return self._said.popleft()

    def restart(self) -> Sequence[messages.NodeResources]:
        self.starts += 1
        self._said = deque([*self._again, messages.Ended()])
        return [SMALL]


NO_SHELL = "raylet.err: bash: line 1: /home/my: No such file or directory"
SCHEDULE = SimpleNamespace(slots=2, members_trained=0, resize=lambda room: None)


def trainer_of(executor: Saying, folder: Path, said: list[str]) -> Trainer:
    """Return a trainer whose lines are kept."""
    idle = Interrupts(25, print, lambda: None)
    arguments = (load("digits"), "cpu", RunDirectory(folder), idle, said.append, said.append)
    return Trainer(executor, *arguments, lambda pack_id, steps: None)


@pytest.mark.parametrize(
    ("seconds", "error", "patient"),
    [(14, NO_SHELL, True), (16, NO_SHELL, False), (119, "", True), (121, "", False)],
)
def test_slots_in_which_no_worker_starts_are_given_up_with_what_ray_says(tmp_path, seconds, error, patient):
    """Ray is started again once; what it says is in the line that ends the sweep."""
    stuck, said = messages.Starting(seconds, error), []
    executor = Saying(stuck, again=[stuck])
    trainer = trainer_of(executor, tmp_path, said)
    if patient:
        trainer.train(SCHEDULE, {}, [SMALL], local=True)
        assert (executor.starts, said) == (1, [])
        return
    with pytest.raises(SweepError) as ended:
        trainer.train(SCHEDULE, {}, [SMALL], local=True)
    assert executor.starts == 2
    assert error or "name no error" in str(ended.value)
    assert error in str(ended.value)
    assert "--address serial" in str(ended.value)
    assert any("although slots are free" in line and "Ray is started again" in line for line in said)


def test_a_worker_that_comes_up_after_a_restart_trains(tmp_path):
    executor = Saying(messages.Starting(16, NO_SHELL), again=[])
    trainer_of(executor, tmp_path, []).train(SCHEDULE, {}, [SMALL], local=True)
    assert executor.starts == 2


def test_a_wait_for_a_worker_is_not_said_to_be_one_for_a_node(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAY_WAITING_SECONDS", -1.0)
    said: list[str] = []
    pack = SimpleNamespace(pack_id="p")
    trainer = trainer_of(Saying(messages.Starting(1, "")), tmp_path, said)
    trainer._packs["p"] = pack
    trainer.train(SCHEDULE, {}, [SMALL], local=True)
    assert said
    assert all(line.startswith("waiting for a worker to start") for line in said)


def test_a_ray_that_asks_for_no_pack_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SILENT_START_SECONDS", -1.0)
    executor = Saying(None, again=[None])
    with pytest.raises(SweepError, match="Ray has asked for no pack"):
        trainer_of(executor, tmp_path, []).train(SCHEDULE, {}, [SMALL], local=True)
    assert executor.starts == 2


def test_workers_are_started_by_no_launcher_and_no_hook(monkeypatch):
    """Under `uv run` Ray would start them by `uv run`; hooks of others change their environment."""
    monkeypatch.setenv("RAY_RUNTIME_ENV_HOOK", "launcher.hook")
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "1")
    for address in (None, "127.0.0.1:6379"):
        values = environment(address, False, Path("code"))
        assert values["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"
        assert "RAY_RUNTIME_ENV_HOOK" not in values


def test_ray_runs_without_options_of_the_commands_python(monkeypatch):
    """Ray reads docstrings, which PYTHONOPTIMIZE=2 takes away, and warnings end what PYTHONWARNINGS says."""
    for name, value in {"PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error"}.items():
        monkeypatch.setenv(name, value)
        assert name not in environment(None, False, Path("code"))


@pytest.mark.parametrize("name", ["my venv", "it's", 'a "b"', "$HOME", "a;b", "é"])
def test_ray_gets_a_path_of_python_that_a_shell_reads_as_it_is(tmp_path, monkeypatch, name):
    prefix = tmp_path / name
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "prefix", str(prefix))
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python"))
    for _ in range(2):  # the second for a Ray that is started again
        python = plain_python(tmp_path / "link")
        assert shlex.quote(python) == python
        assert os.path.samefile(python, prefix / "bin" / "python")


def test_a_plain_path_of_python_is_taken_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    assert plain_python(tmp_path / "link") == "/usr/bin/python3"
    assert not (tmp_path / "link").exists()


SAYS_WHY = """
import os, sys
if "sweeps.cluster.serving" in sys.orig_argv:
    print("what went wrong", file=sys.stderr, flush=True)
    os.abort()
"""


def test_a_ray_process_that_ends_at_its_start_is_quoted_and_its_log_stays(tmp_path, make_space, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(SAYS_WHY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    directory = RunDirectory(tmp_path / "run")
    with pytest.raises(SweepError) as refused, directory.opened(make_space()):
        RayProcess(None, directory.log, tmp_path).connect()
    assert f"the Ray process ended with SIGABRT: what went wrong; see {directory.log}" in str(refused.value)
    assert "what went wrong" in directory.log.read_text()
    assert list(directory.path.iterdir()) == [directory.log]


@pytest.mark.parametrize("settings", [[], ["save_weights=last"]])
def test_nodes_that_do_not_see_the_run_are_said_once_and_logged_each(tmp_path, settings):
    said, logged = [], []
    trainer = Trainer(
        Saying(*(messages.Unseen(node) for node in ("a", "b", "a"))),
        load("digits", settings),
        "cpu",
        RunDirectory(tmp_path),
        Interrupts(25, print, lambda: None),
        said.append,
        logged.append,
        lambda pack_id, steps: None,
    )
    schedule = SimpleNamespace(slots=2, members_trained=0, resize=lambda room: None)
    trainer.train(schedule, {}, [SMALL], local=False)
    (line,) = said
    lost, mend = " and weights are not kept" * bool(settings), " and save_weights=none" * bool(settings)
    assert f"checkpoints are off{lost}: node a does not see {tmp_path}, so that a pack whose worker" in line
    assert f"give an --out that all nodes see at the same path, or set checkpoint_minutes=0{mend} to" in line
    assert logged == [f"node {node} does not see {tmp_path}" for node in ("a", "b")]


def test_a_dashboard_is_of_a_local_ray_alone():
    for address in ("auto", "serial"):
        with pytest.raises(
            SweepError, match=rf"--dashboard with --address {address}: .* leave one of the two"
        ):
            dashboard.check(address)


@pytest.mark.parametrize("lacking", [(), ("colorful", "opencensus")])
def test_a_dashboard_whose_packages_are_missing_is_refused_with_the_mend(monkeypatch, lacking):
    def version(name: str) -> str:
        if name in lacking:
            raise metadata.PackageNotFoundError(name)
        return "1"

    declared = ["click>=7", 'opencensus; extra == "default"', 'pandas; extra == "tune"']
    declared += [
        f'{name}>=1; python_version < "3.12" and extra == "default"' for name in ("colorful", "aiohttp")
    ]
    monkeypatch.setattr(metadata, "requires", {"ray": declared}.get)
    monkeypatch.setattr(metadata, "version", version)
    if not lacking:
        dashboard.check(None)
        return
    mend = re.escape(
        "are not installed (colorful, opencensus); install them with pip install -c constraints.txt"
    )
    with pytest.raises(SweepError, match=mend):
        dashboard.check(None)


def test_ray_declares_what_its_dashboard_needs():
    """Else nothing would ever be missing."""
    assert {"aiohttp_cors", "opencensus"} <= dashboard.needed()


def test_the_token_of_a_dashboard_is_not_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret")
    line = dashboard.notice("127.0.0.1:8265", tmp_path)
    assert line.startswith("Ray's dashboard: http://127.0.0.1:8265, ")
    assert "s3cret" not in line
    assert (tmp_path / "dashboard_token").read_text().strip() == os.environ["RAY_AUTH_TOKEN"]
