"""Ray's log files and errors, as a sweep reads them, without a cluster."""

import os
import time
from types import SimpleNamespace

import pytest
from ray._private import state, worker
from ray.exceptions import (
    ActorDiedError,
    ActorUnschedulableError,
    OutOfMemoryError,
    RayTaskError,
    RuntimeEnvSetupError,
)

from sweeps.cluster import serving, workers
from sweeps.cluster.logs import last_error
from sweeps.cluster.serving import _refusal
from sweeps.cluster.workers import StartWatch, failure_of, have_died

LOGS = {
    "raylet.err": ("bash: line 1: /home/my: No such file or directory\n", "bash: line 1: /home/my: No such"),
    "worker-1-ffff-17.err": (
        ':job_id:1\nTraceback (most recent call last):\n  File "x.py", line 1\nModuleNotFoundError: no ray\n',
        "ModuleNotFoundError: no ray",
    ),
    "runtime_env_agent.log": (
        "2026-11-30 10:00:00,1\tINFO a.py:1 -- begun\n2026-11-30 10:00:01,1\tERROR a.py:2 -- no pip here\n",
        "no pip here",
    ),
    "raylet.out": (
        "[2026-11-30 10:00:00,1 I 1 1] (raylet) main.cc:1: Error: none\n"
        "[2026-11-30 10:00:01,1 E 1 1] (raylet) worker_pool.cc:5: worker 17 has not registered\n",
        "worker 17 has not registered",
    ),
    "gcs_server.out": ("[2026-11-30 10:00:01,1 C 1 1] (gcs) x.cc:5: Check failed: no port\n", "no port"),
}


@pytest.mark.parametrize("name", LOGS)
def test_the_last_error_of_rays_logs_is_found_with_its_file(tmp_path, name):
    text, cause = LOGS[name]
    (tmp_path / name).write_text(text)
    (tmp_path / "worker-2-ffff-18.err").write_text("FutureWarning: soon gone\n")
    said = last_error(tmp_path, time.time() - 10)
    assert said.startswith(f"{name}: ")
    assert cause in said
    assert last_error(tmp_path, time.time() + 10) == "", "of another sweep's time"


def test_of_several_errors_the_newest_is_said(tmp_path):
    for age, name in enumerate(LOGS):
        (tmp_path / name).write_text(LOGS[name][0])
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert last_error(tmp_path, 0).startswith("raylet.err: ")
    assert last_error(tmp_path / "gone", 0) == ""


def actor(name: str, kind: str = "PackTrainable") -> dict[str, str]:
    return {"State": name, "ActorClassName": kind}


def test_a_wait_for_workers_is_one_of_actors_of_which_none_lives(monkeypatch, tmp_path):
    actors: dict[str, dict[str, str]] = {}
    monkeypatch.setattr(state, "actors", lambda job_id: actors)
    monkeypatch.setattr(worker, "global_worker", SimpleNamespace(current_job_id="1"))
    monkeypatch.setattr(workers, "session_logs", lambda: tmp_path)
    clock = iter(range(100, 200, 10))
    monkeypatch.setattr(workers.time, "time", lambda: next(clock))
    watch = StartWatch()
    actors["queue"] = actor("ALIVE", "_QueueActor")
    assert watch.look() is None, "no pack has its slot"
    actors["a"] = actor("PENDING_CREATION")
    assert watch.look().seconds == 0
    (tmp_path / "raylet.err").write_text(LOGS["raylet.err"][0])
    starting = watch.look()
    assert starting.seconds == 10
    assert starting.error.startswith("raylet.err: ")
    actors["b"] = actor("ALIVE")
    assert watch.look() is None, "a worker came up"
    actors["b"] = actor("DEAD")
    assert watch.look().seconds == 0


def task_error(cause: Exception) -> RayTaskError:
    """Return Ray's error of a task, or of an actor's creation, that raised."""
    frames = 'ray::Pack.__init__() (pid=1)\n  File "a.py", line 1, in f\n    import helper\n'
    return RayTaskError("Pack.__init__", f"{frames}{type(cause).__name__}: {cause}", cause)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (
            OutOfMemoryError("1 worker(s) were killed"),
            "memory",
            "Ray killed its worker: the node was running",
        ),
        (RuntimeError("odd"), "lost", "its worker or node died: odd"),
        (task_error(ValueError("first\nsecond")), "error", "ValueError: first second"),
        (ActorDiedError(task_error(ImportError("no helper"))), "error", "ImportError: no helper"),
        (RuntimeEnvSetupError("no pip"), "error", "no pip"),
        (ActorUnschedulableError("node gone"), "lost", "node gone"),
        (ActorDiedError(), "lost", "its worker or node died"),
    ],
)
def test_a_failure_follows_from_the_type_of_rays_error(monkeypatch, tmp_path, error, kind, reason):
    monkeypatch.setattr(workers, "session_logs", lambda: tmp_path)
    failure = failure_of(error)
    assert failure.kind == kind
    assert reason in failure.reason


def test_an_error_that_tune_does_not_expect_is_what_it_was_raised_from():
    error = RuntimeError("Caught unexpected exception")
    error.__cause__ = OutOfMemoryError("full")
    assert failure_of(error).kind == "memory"
    assert failure_of(RuntimeError("no memory of that node")).kind == "lost", "a word is no cause"


def test_a_worker_that_crashed_is_quoted(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "session_logs", lambda: tmp_path)
    said = (
        ":job_id:1\nlibcuda: version too old\n[2026 E 1 1] logging.cc: @ 0x7f\nFatal Python error: Aborted\n"
    )
    (tmp_path / "worker-ab-01-4711.err").write_text(f"{said}\nThread 0x1:\n")
    error = ActorDiedError()
    error.error_msg = "The actor died unexpectedly before finishing this task.\n\tpid: 4711\n\tip: 127.0.0.1"
    assert failure_of(error).reason == (
        "its worker or node died: libcuda: version too old Fatal Python error: Aborted"
    )
    (tmp_path / "worker-ab-01-4711.err").write_text("x.py:3: UserWarning: odd\n  train = odd()\n")
    assert failure_of(error).reason == "its worker or node died", "a warning is no cause"


def test_dead_actors_are_those_that_ray_says_are_dead(monkeypatch):
    states = {"a": "DEAD", "b": "ALIVE"}
    monkeypatch.setattr(state, "actors", lambda actor_id: {"State": states[actor_id]})
    assert have_died(["a", "b"]) == {"a"}
    monkeypatch.setattr(workers, "DEATH_SECONDS", 0.0)
    assert have_died(["b"]) == set()
    assert have_died([]) == set()


MISMATCH = (
    "Version mismatch: The cluster was started with:\n    Ray: 2.59.0\nThis was started with:\n    Ray: 9.9"
)


@pytest.mark.parametrize(
    ("error", "address", "said", "unsaid"),
    [
        (RuntimeError(MISMATCH), "h:1", ["Ray: 2.59.0", "Ray: 9.9", "; use Ray "], "ray start --head"),
        (ConnectionError("nobody answers"), "h:1", ["nobody answers", "ray start --head"], "use Ray"),
        (
            ConnectionAbortedError(
                "Initialization failure from server:\nTraceback (most recent call last):\nE: bad"
            ),
            "ray://h:1",
            ["Initialization failure from server: E: bad"],
            "ray start --head",
        ),
        (
            Exception("timed out"),
            None,
            ["timed out", "raylet.err: bash: line 1: /home/my"],
            "ray start --head",
        ),
    ],
)
def test_a_ray_that_cannot_be_used_is_refused_with_the_mend_that_fits(tmp_path, error, address, said, unsaid):
    logs = tmp_path / "ray" / "session_latest" / "logs"
    logs.mkdir(parents=True)
    (logs / "raylet.err").write_text(LOGS["raylet.err"][0])
    line = _refusal(error, address, tmp_path)
    assert "\n" not in line
    assert all(text in line for text in said), line
    assert unsaid not in line


def test_a_local_ray_that_other_machines_reach_is_shut_down_and_refused(monkeypatch, tmp_path):
    ended = []
    monkeypatch.setattr(serving.ray, "init", lambda **options: SimpleNamespace(dashboard_url=""))
    monkeypatch.setattr(serving.ray, "shutdown", lambda: ended.append(True))
    monkeypatch.setattr(serving.snapshot, "digests", dict)
    monkeypatch.setattr(serving.ray_internals, "exposed_addresses", lambda: [])
    assert serving._connect(None, tmp_path, dashboard=False) == ""
    assert not ended
    monkeypatch.setattr(serving.ray_internals, "exposed_addresses", lambda: ["0.0.0.0"])  # noqa: S104
    with pytest.raises(RuntimeError, match=r"listens to other machines, at 0\.0\.0\.0; install a version"):
        serving._connect(None, tmp_path, dashboard=False)
    assert ended
