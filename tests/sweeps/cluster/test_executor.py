"""Packs on Ray, as seen from the sweep: what ends a wait, and what a lost Ray does."""

from collections import deque
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from search_spaces import load
from sweeps import SweepError
from sweeps.cluster import executor
from sweeps.cluster.executor import RayExecutor
from sweeps.cluster.messages import Ended, Stop, Train, Wanted
from sweeps.cluster.process import RayLost
from sweeps.executors import waiting
from sweeps.executors.events import (
    Finished,
    Lost,
    Next,
    NodeResources,
    Nodes,
    Notice,
    Progressed,
    Quiet,
    Returned,
    Starting,
)
from sweeps.executors.places import Places
from sweeps.executors.waiting import Waiting
from sweeps.machine.interrupts import Interrupts
from sweeps.schedule import Running

SMALL = {"CPU": 2.0, "GPU": 0.0}
NO_SHELL = "raylet.err: bash: line 1: /home/my: No such file or directory"


class Saying:
    """A Ray process with given messages, whatever it is told; each restart has the next of `again`."""

    def __init__(self, *said: object, again: Sequence[Sequence[object]] = ()) -> None:
        self._said, self._again = deque([*said, Ended()]), deque(again)
        self.starts, self.heard, self.killed = 1, [], False

    def send(self, message: object) -> None:
        self.heard.append(message)

    def receive(self, timeout: float) -> object:
        message = self._said.popleft()
        if isinstance(message, Exception):
            raise message
        return message

    def restart(self) -> Sequence[NodeResources]:
        self.starts += 1
        self._said = deque([*(self._again.popleft() if self._again else ()), Ended()])
        return [SMALL]

    def kill(self) -> None:
        self.killed = True


def places() -> Places:
    return Places(load("digits"), [SMALL], None, local=True)


def events(process: Saying, tmp_path, signal=None):
    """Yield the events of a training."""
    interrupts = Interrupts(25, print)
    interrupts.signal = signal
    ray = RayExecutor(process, tmp_path / "sweep.log")
    return ray.train({}, lambda: Next(None, finished=True), places(), interrupts)


@pytest.mark.parametrize(
    ("seconds", "error", "patient"),
    [(14, NO_SHELL, True), (16, NO_SHELL, False), (119, "", True), (121, "", False)],
)
def test_slots_in_which_no_worker_starts_are_given_up_with_what_ray_says(tmp_path, seconds, error, patient):
    """Ray is started again once; what it says is in the line that ends the sweep."""
    stuck = Starting(seconds, error)
    process = Saying(stuck, again=[[stuck]])
    if patient:
        assert list(events(process, tmp_path)) == [stuck]
        assert process.starts == 1
        return
    seen = []
    with pytest.raises(SweepError) as ended:
        seen.extend(events(process, tmp_path))
    assert process.starts == 2
    assert error or "name no error" in str(ended.value)
    assert error in str(ended.value)
    assert "--address serial" in str(ended.value)
    assert [type(event) for event in seen] == [Lost, Notice, Nodes, Lost]
    assert "although slots are free" in seen[1].text
    assert "Ray is started again" in seen[1].text


def test_a_worker_that_comes_up_after_a_restart_trains(tmp_path):
    process = Saying(Starting(16, NO_SHELL))
    assert isinstance(list(events(process, tmp_path))[-1], Nodes)
    assert process.starts == 2


def test_a_finished_pack_between_two_losses_is_progress(tmp_path):
    lost, done = RayLost("gone"), Finished("p", None)
    process = Saying(lost, again=[[done, lost], [done, lost], [done]])
    kinds = [type(event) for event in events(process, tmp_path)]
    assert kinds == [Lost, Notice, Nodes, Finished] * 3
    with pytest.raises(SweepError, match=r"Ray was lost again \(gone\); its messages are in .*sweep.log"):
        list(events(Saying(lost, again=[[lost]]), tmp_path))


def test_a_ray_that_asks_for_no_pack_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "SILENT_START_SECONDS", -1.0)
    process = Saying(None, again=[[None]])
    with pytest.raises(SweepError, match="Ray has asked for no pack"):
        list(events(process, tmp_path))
    assert process.starts == 2


def test_a_request_is_answered_and_a_signal_stops_the_packs(tmp_path, monkeypatch):
    process = Saying(Wanted(), Returned("p"))
    monkeypatch.setattr(Interrupts, "seconds_left", lambda self, share: 5.0)
    assert list(events(process, tmp_path, signal=2)) == [Quiet(), Returned("p")]
    assert [type(message) for message in process.heard] == [Train, Next, Stop]
    assert not process.killed
    monkeypatch.setattr(Interrupts, "seconds_left", lambda self, share: 0.0)
    process = Saying(Quiet(), Returned("p"))
    assert list(events(process, tmp_path, signal=2)) == [Quiet()]
    assert process.killed, "there is no more time"


def test_a_lost_ray_is_not_started_again_after_a_signal(tmp_path):
    process = Saying(RayLost("gone"))
    assert list(events(process, tmp_path, signal=2)) == []
    assert process.starts == 1


def waits(monkeypatch, nodes, event, seconds):
    """Return what is said of a pack that waits so long for its worker."""
    now, said = [0.0], []
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0]))
    slots = Places(load("digits", ["device=cpu"]), nodes, None, local=False)
    watch = Waiting(10.0, slots, said.append)
    schedule = SimpleNamespace(in_training={"p": Running(None)})
    watch.look(schedule, event)
    now[0] = seconds
    watch.look(schedule, event if isinstance(event, Starting) else Quiet())
    return said


def test_a_wait_for_a_worker_is_not_said_to_be_one_for_a_node(monkeypatch):
    assert waits(monkeypatch, [SMALL], Starting(1, ""), 11) == ["waiting for a worker to start: 11 s"]
    assert waits(monkeypatch, [SMALL], Quiet(), 9) == []
    (line,) = waits(monkeypatch, [SMALL], Progressed("q", 0), 11)
    assert line == "waiting for a node with 1 CPU free for a pack: 11 s"
    (line,) = waits(monkeypatch, [], Quiet(), 11)
    assert line.endswith(": 11 s of at most 10 min 00 s (wait_minutes)")


def test_a_node_that_does_not_come_ends_the_sweep(monkeypatch):
    with pytest.raises(SweepError, match=r"no node with 1 CPU for a pack came within 10 min 00 s; add nodes"):
        waits(monkeypatch, [], Quiet(), 601)
