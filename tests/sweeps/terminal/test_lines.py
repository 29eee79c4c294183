"""The lines of a sweep."""

from types import SimpleNamespace

import pytest
from rich.console import Console

from search_spaces import load
from sweeps.executors.events import Failed, Lost, Notice, Progressed
from sweeps.executors.places import Places
from sweeps.record.directory import RunDirectory
from sweeps.terminal.lines import Lines
from sweeps.worker.failures import Failure
from sweeps.worker.task import News


def saying(tmp_path, *settings):
    """Return the lines of a sweep, and its console."""
    console = Console(record=True, quiet=False, width=1000, file=(tmp_path / "out").open("w"))
    return Lines(load("digits", list(settings)), RunDirectory(tmp_path), console), console


@pytest.mark.parametrize("settings", [[], ["save_weights=last"]])
def test_nodes_that_do_not_see_the_run_are_said_once_and_logged_each(tmp_path, settings):
    lines, console = saying(tmp_path, *settings)
    for node in ("a", "b", "a"):
        lines.event(Progressed("p", 1, News(unseen=node)))
    (line,) = console.export_text().splitlines()
    assert line.startswith(
        f"node a does not see {tmp_path}: Ray carries the states of its packs here, up to 32 MB"
    )
    assert "a worker that is lost or stopped costs at most 5 min of training" in line
    assert "--checkpoints URI, or give an --out that all nodes see at the same path" in line
    assert ("weights are not kept" in line) == ("save_weights=none" in line) == bool(settings)
    logged = (tmp_path / "sweep.log").read_text().splitlines()
    assert logged == [f"node {node} does not see {tmp_path}" for node in ("a", "b")]


def test_a_run_with_states_elsewhere_misses_only_weights(tmp_path):
    console = Console(record=True, width=1000, file=(tmp_path / "out").open("w"))
    lines = Lines(load("digits", ["save_weights=last"]), RunDirectory(tmp_path, "s3://bucket"), console)
    lines.event(Progressed("p", 1, News(unseen="a")))
    (line,) = console.export_text().splitlines()
    assert "its trained weights are not kept" in line
    assert "Ray carries" not in line


def test_states_that_are_not_saved_are_said_once_and_logged_each(tmp_path):
    lines, console = saying(tmp_path)
    for pack_id in ("p", "q", "p"):
        lines.event(Progressed(pack_id, 1, News(trouble="checkpoint not written: no bucket")))
    (line,) = console.export_text().splitlines()
    assert line.startswith("pack p: checkpoint not written: no bucket; training goes on")
    logged = (tmp_path / "sweep.log").read_text().splitlines()
    assert logged == [f"pack {pack_id}: checkpoint not written: no bucket" for pack_id in ("p", "q", "p")]


def test_what_is_too_long_for_a_line_is_logged(tmp_path):
    lines, console = saying(tmp_path)
    lines.event(Failed("p", Failure("error", "odd", "a traceback")))
    lines.event(Lost("gone"))
    lines.event(Notice("all is well"))
    lines.event(Progressed("p", 1, News(notices=["weights not kept"])))
    assert console.export_text() == "all is well\npack p: weights not kept\n"
    assert (tmp_path / "sweep.log").read_text() == "pack p: odd\na traceback\ngone\n"


def test_nodes_are_said_when_they_change(tmp_path):
    lines, console = saying(tmp_path)
    places = Places(load("digits"), [{"CPU": 2.0}], None, local=False)
    lines.nodes(places)
    lines.nodes(places)
    places.resize([{"CPU": 2.0}, {"CPU": 1.0}])
    lines.nodes(places)
    assert console.export_text().splitlines() == [
        "Ray: 1 node, 2 CPUs: 2 packs at once",
        "Ray: 2 nodes, 3 CPUs: 3 packs at once",
    ]


@pytest.mark.parametrize(
    ("address", "line"),
    [
        (None, "Ray: 1 node, 2 CPUs: 2 packs at once (cpu)"),
        ("serial", "no Ray: 1 node, 2 CPUs: 2 packs at once (cpu)"),
        ("h:1", "Ray: 1 node, 2 CPUs: 2 packs at once (cpu, as there is no GPU; device=cuda waits for one)"),
    ],
)
def test_only_a_cluster_may_get_a_gpu(tmp_path, address, line):
    lines, console = saying(tmp_path)
    places = Places(load("digits"), [{"CPU": 2.0, "GPU": 0.0}], None, local=address != "h:1")
    schedule, ledger = SimpleNamespace(members_reused=0, cells=[]), SimpleNamespace(failed={})
    lines.plan(address, places, schedule, ledger)
    assert console.export_text().splitlines()[0] == line
