"""Canaries: a test for each private or unstable part of Ray that is used.

A test that fails here with a new version of Ray names what the version changed. A process starts a local Ray
as a sweep does, lets an actor and a trial fail, and reports what it saw.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sweeps.cluster import ray_internals
from sweeps.cluster.environment import environment
from sweeps.cluster.trainable import METRIC, NEWS, RESULT
from sweeps.cluster.tuning import _Watching
from sweeps.worker.task import News
from tests.sweeps.conftest import ROOT

pytestmark = pytest.mark.process

OBSERVE = """
import json, logging, os, sys, time
from pathlib import Path

import grpc, ray
from ray import tune
from ray._private.utils import check_version_info
from ray.exceptions import ActorDiedError, RayActorError
from ray.util.queue import Queue

from sweeps.cluster import ray_internals as internals
from sweeps.cluster.tokens import _answer

def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.1)

folder = Path(sys.argv[1])
seen = {}
ray.init(address="local", dashboard_host="127.0.0.1", include_dashboard=False, num_cpus=2,
         log_to_driver=False, logging_level=logging.ERROR, **internals.local_options(folder))
seen["session_logs"] = str(internals.session_logs().resolve())
seen["local_logs"] = str(internals.local_logs(folder).resolve())
seen["servers"] = len(internals.local_servers())
seen["exposed"] = internals.exposed_addresses()
address = ray.get_runtime_context().gcs_address
seen["without_token"] = _answer(address, None).name
seen["with_token"] = _answer(address, os.environ["RAY_AUTH_TOKEN"]).name

@ray.remote(num_cpus=1)
class Worker:
    def pid(self): return os.getpid()
    def die(self): print("last words", file=sys.stderr, flush=True); os._exit(1)

@ray.remote(num_cpus=1)
class Broken:
    def __init__(self): raise ValueError("bad start")
    def pid(self): return 0

queue, worker = Queue(actor_options={"num_cpus": 0}), Worker.remote()
pid = ray.get(worker.pid.remote())
seen["states"] = internals.actor_states(internals.QUEUE_CLASS)
never = Worker.options(num_cpus=100).remote()
wait_until(lambda: len(internals.actor_states(internals.QUEUE_CLASS)) == 2)
seen["states_with_pending"] = internals.actor_states(internals.QUEUE_CLASS)
seen["dead_before"] = internals.is_dead(worker._actor_id.hex())
try:
    ray.get(worker.die.remote())
except RayActorError as error:
    seen["pids"], seen["pid"] = internals.pids_of(str(error)), str(pid)
wait_until(lambda: internals.is_dead(worker._actor_id.hex()))
seen["dead_after"] = internals.is_dead(worker._actor_id.hex())
files = internals.session_logs().glob(internals.WORKER_ERRORS.format(pid=pid))
seen["last_words"] = [path.read_text() for path in files]
seen["log_files"] = {
    pattern: [path.name for path in internals.session_logs().glob(pattern)]
    for pattern in [*internals.LOG_ERRORS, *internals.SERVER_ERRORS]
}
seen["info_lines"] = (internals.session_logs() / "raylet.out").read_text().splitlines()[:20]
try:
    ray.get(Broken.remote().pid.remote())
except RayActorError as error:
    seen["init_failed"], seen["without_task"] = error.actor_init_failed, internals.without_task(str(error))
del never
local = {"ray_version": "1.0", "python_version": "3.0"}
try:
    check_version_info(local, "this")
except RuntimeError as error:
    seen["mismatch"] = str(error)

class Log(logging.Handler):
    def emit(self, record): seen.setdefault("tune_error", repr(record.exc_info and record.exc_info[1]))

class Fails(tune.Trainable):
    def step(self): raise ValueError("a failed trial")

internals.tune_logger().addHandler(Log())
tune.Tuner(Fails, run_config=tune.RunConfig(storage_path=str(folder / "tune"), verbose=0)).fit()
print(json.dumps(seen))
os._exit(0)
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> Iterator[dict]:
    """Start a local Ray as a sweep does, and return what its private surface gives."""
    folder = tmp_path_factory.mktemp("r")
    process = subprocess.run(
        [sys.executable, "-P", "-c", OBSERVE, str(folder)],
        env=environment(None, False, ROOT),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1])


class TestALocalRay:
    def test_listens_to_this_machine_only(self, seen):
        assert seen["exposed"] == []

    def test_has_its_servers_under_their_names(self, seen):
        assert seen["servers"] == 2

    def test_keeps_its_files_where_it_is_told(self, seen):
        assert seen["session_logs"] == seen["local_logs"]

    def test_answers_the_call_that_asks_about_its_token(self, seen):
        assert (seen["without_token"], seen["with_token"]) == ("UNAUTHENTICATED", "OK")


class TestActors:
    def test_have_a_state_by_class(self, seen):
        assert seen["states"] == ["ALIVE"]

    def test_without_resources_are_pending(self, seen):
        (pending,) = set(seen["states_with_pending"]) - {"ALIVE"}
        assert pending in ray_internals.PENDING

    def test_that_died_are_dead(self, seen):
        assert (seen["dead_before"], seen["dead_after"]) == (False, True)

    def test_that_died_are_named_by_process(self, seen):
        assert seen["pids"] == [seen["pid"]]

    def test_that_cannot_start_say_so_without_a_task(self, seen):
        assert seen["init_failed"] is True
        assert "ray::" not in seen["without_task"].splitlines()[0]


class TestLogFiles:
    def test_of_a_worker_have_its_process_in_their_name(self, seen):
        assert any("last words" in text for text in seen["last_words"])

    def test_of_ray_have_their_names(self, seen):
        assert [pattern for pattern, files in seen["log_files"].items() if not files] == []

    def test_begin_a_line_with_the_level(self, seen):
        assert any(re.match(r"\[[^]]* I ", line) for line in seen["info_lines"])


def test_a_version_mismatch_is_a_runtime_error_with_its_text(seen):
    assert ray_internals.is_version_mismatch(seen["mismatch"])


def test_tune_logs_the_exception_of_a_trial(seen):
    assert "a failed trial" in seen["tune_error"]


def test_ray_itself_finds_the_file_of_a_started_cluster(tmp_path, monkeypatch):
    from ray._private import utils

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    utils.write_ray_address("127.0.0.1:4711")
    assert ray_internals.started_cluster_file(os.environ).read_text().strip() == "127.0.0.1:4711"


def test_tune_keeps_none_of_the_values_that_the_searcher_has_taken():
    """It would write a state to its files, and keep its text for good."""
    result = {METRIC: 1, "pid": 7, NEWS: News(state=b"state"), RESULT: object()}
    _Watching(None).on_trial_result(0, [], None, result)
    assert result == {METRIC: 1, "pid": 7}
