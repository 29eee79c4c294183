"""What a pack asks for and where members train, without a cluster."""

import os
import re
from collections import deque
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from ouvae.data import load as load_data
from search_spaces import load
from sweeps import SweepError
from sweeps.cluster import dashboard, messages, tokens
from sweeps.cluster.environment import environment
from sweeps.cluster.messages import Resources, Task
from sweeps.interrupts import Interrupts
from sweeps.pack_work import PackWork
from sweeps.run_directory import RunDirectory
from sweeps.training import Trainer, describe, device_of, resources_of

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
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.setenv(name, "the user's")
    local, other = environment(None, False, Path()), environment(None, False, Path())
    assert len({local["RAY_AUTH_TOKEN"], other["RAY_AUTH_TOKEN"], "the user's"}) == 3
    assert local["RAY_AUTH_MODE"] == "token"
    assert {"RAY_ADDRESS", "RAY_AUTH_TOKEN_PATH"}.isdisjoint(local)


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
    """A Ray process that says what it is given, whatever it is told."""

    def __init__(self, *said: object) -> None:
        self._said = deque([*said, messages.Ended()])

    def send(self, message: object) -> None: ...

    def receive(self, timeout: float) -> object:
        return self._said.popleft()


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
