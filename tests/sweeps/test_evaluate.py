"""Members measured anew from their kept weights: the same weights give the same numbers to the bit.

Most tests spoil numbers of a copied run and ask the command to bring back what training wrote.
"""

import errno
import fcntl
import itertools
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import search_spaces
from analysis.tables.files import read_table, table_of, write_table
from analysis.tables.schema import HISTORY, MEMBERS
from ouvae import NUMERICS_VERSION
from ouvae.data import load as load_data
from ouvae.declared import METRICS, TEST_METRICS
from ouvae.training.pack import PackTraining
from search_spaces import load
from sweeps import evaluate
from sweeps.record import directory, fragments
from sweeps.remeasuring.packs import covered
from tests.sweeps.conftest import diverging, drawing_nothing, opened, sweep_digits

KEYS = [
    *("latents=[[6, 4]]", "hidden=[16]", "ou_samples=2", "search=grid", "rho=[0.5, 0.9]", "seeds=2"),
    *("steps=40", "eval_every=10", "batch_size=50", "pack_size=3", "eval_images=40", "learning_rate=0.01"),
    *("track=sweep", "activation=relu"),
]
TEST = ("bound_samples=2", "bound_images=20")
VERSIONS = ("finished_at", "numerics_version", "project_version", "commit")
VALIDATION_METRICS = {metric.name for metric in METRICS}
MEASURED_TEST_METRICS = {metric.name for metric in TEST_METRICS} - {"selected_step"}


def sweep(out, *keys):
    """Run a sweep of four members in two packs, a pack a seed, and return its exit code."""
    return sweep_digits(out, *KEYS, *keys)


def evaluated(run, *options):
    return evaluate.main([str(run), *options])


@pytest.fixture(scope="module")
def trained_runs(tmp_path_factory, empty_store):
    """Return a maker of runs: each is trained once, with the member of rho 0.9 and seed 1 that diverges."""
    runs = {}

    def make(*keys):
        if keys not in runs:
            runs[keys] = tmp_path_factory.mktemp("trained") / "run"
            shutil.copy(empty_store, runs[keys].parent)
            with drawing_nothing() as patch:
                diverging(patch, [(0.9, 1)], at_step=35)
                assert sweep(runs[keys], *keys) == 0
        return runs[keys]

    return make


@pytest.fixture
def copy(trained_runs, tmp_path):
    """Return a maker of copies of trained runs, of which no figures are drawn."""
    with drawing_nothing():
        yield lambda *keys: Path(shutil.copytree(trained_runs(*keys).parent, tmp_path / "copy")) / "run"


def rows_of(run, table="members", without=()):
    rows = pq.read_table(run / f"{table}.parquet").to_pylist()
    return [{key: value for key, value in row.items() if key not in without} for row in rows]


def fragments_of(run):
    """Return the rows of the fragments on the disk, without versions and times."""
    found = {}
    for path in sorted((run / "fragments").glob("*.parquet")):
        rows = pq.read_table(path).to_pylist()
        found[path.name] = [{key: row[key] for key in row if key not in VERSIONS} for row in rows]
    return found


def spoil(run, metrics, version=NUMERICS_VERSION - 1, names="*", **others):
    """Let the fragments of a run have wrong metrics, as of another version, in rows and last evaluations."""
    for path in sorted((run / "fragments").glob(f"{names}.members.parquet")):
        rows = read_table(path, MEMBERS).to_pylist()
        spoilt = [row | {"numerics_version": version} | others | wrong(row, metrics) for row in rows]
        write_table(table_of(spoilt, MEMBERS), path)
        path = path.with_name(path.name.replace("members", "history"))
        history = read_table(path, HISTORY).to_pylist()
        of_history = metrics & VALIDATION_METRICS
        last = [entry | wrong(entry, of_history) if entry["step"] == 40 else entry for entry in history]
        write_table(table_of(last, HISTORY), path)


def wrong(row, metrics):
    return {name: other(row[name]) for name in metrics if row[name] is not None}


def other(value):
    if value is None:
        return None
    return [other(entry) for entry in value] if isinstance(value, list) else value + 1


def refusal(capsys, run, *options):
    capsys.readouterr()  # of the training, which may have been the first of its kind
    assert evaluated(run, *options) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "Traceback" not in error
    return error


# The law: the same weights and the same version give the same numbers


@pytest.mark.parametrize(
    ("keys", "code", "measured"),
    [
        (["save_weights=last"], 0, VALIDATION_METRICS),
        (["save_weights=last", *TEST], 0, VALIDATION_METRICS | MEASURED_TEST_METRICS),
        (["save_weights=last", "select=best", "learning_rate=0.3", *TEST], 1, VALIDATION_METRICS),
        (["save_weights=best", "select=best", "learning_rate=0.3", *TEST], 1, MEASURED_TEST_METRICS),
    ],
    ids=["last", "last with a test split", "last of best", "best"],
)
def test_what_the_weights_give_is_brought_back_to_the_bit(copy, capsys, keys, code, measured):
    run = copy(*keys)
    members, history = rows_of(run, without=VERSIONS), rows_of(run, "history")
    fragments = fragments_of(run)
    assert [row["status"] for row in members] == ["completed", "completed", "completed", "diverged"]
    spoil(run, measured)
    assert evaluated(run) == code
    assert rows_of(run, without=VERSIONS) == members
    assert rows_of(run, "history") == history
    assert fragments_of(run) == fragments
    versions = [row["numerics_version"] for row in rows_of(run)]
    if "bound_samples=2" in keys:
        assert all(row["test_elbo_nats"] < row["test_bound_nats"] < 0 for row in members[:3])
        assert all(len(row["test_active_units"]) == 2 for row in members[:3])
    said = capsys.readouterr().out
    assert "3 members measured anew" in said
    if code == 0:
        assert versions == [NUMERICS_VERSION] * 4
        return
    selected = [row["selected_step"] for row in members[:3]]
    assert min(selected) < 40
    old = [NUMERICS_VERSION - 1 if step < 40 else NUMERICS_VERSION for step in selected]
    assert versions == [*old, NUMERICS_VERSION]
    split = "test" if "save_weights=last" in keys else "validation"
    assert f"not measured ({members[selected.index(min(selected))]['member_id']}" in said
    assert f"its metrics on the {split} split" in said
    assert f"refuse to go on in {run}" in said


@pytest.mark.parametrize(
    ("select", "state", "selected_step", "expected"),
    [
        ("last", "last", 40, (True, True)),
        ("best", "last", 40, (True, True)),
        ("best", "last", 30, (True, False)),
        ("best", "best", 40, (True, True)),
        ("best", "best", 30, (False, True)),
        ("best", None, 40, (True, True)),
        ("best", None, 30, (False, False)),
    ],
)
def test_numbers_of_one_state_never_get_the_name_of_another(select, state, selected_step, expected):
    (cell,) = load("digits", [*KEYS, *TEST, f"select={select}"]).cells()
    assert covered(cell, state, selected_step) == expected
    untested = cell.model_copy(update={"bound_samples": None})
    assert covered(untested, state, selected_step) == (expected[0], False)


def test_metrics_of_the_uncovered_state_stay_as_they_are(copy):
    run = copy("save_weights=best", "select=best", "learning_rate=0.3", *TEST)
    trained = rows_of(run)
    spoil(run, {"kl_top_nats"})
    assert evaluated(run) == 1
    for before, after in zip(trained[:3], rows_of(run)[:3], strict=True):
        moved = before["selected_step"] < 40
        assert after["kl_top_nats"] == before["kl_top_nats"] + moved


# What follows


def test_a_run_of_another_version_is_mended_and_extended(copy, capsys):
    run = copy("save_weights=last")
    members = rows_of(run, without=VERSIONS)
    (run / "studies.log").write_text("an older journal")
    spoil(run, VALIDATION_METRICS)
    with pytest.MonkeyPatch.context() as patch:
        diverging(patch, [(0.9, 1)], at_step=35)
        assert sweep(run, "save_weights=last") == 2
        assert f"members of numerics version {NUMERICS_VERSION - 1}" in capsys.readouterr().err
        assert evaluated(run) == 0
        assert sweep(run, "save_weights=last", "seeds=3") == 0
    rows = rows_of(run, without=VERSIONS)
    assert [row for row in rows if row["seed"] < 2] == members
    assert len(rows) == 6
    assert {row["numerics_version"] for row in rows_of(run)} == {NUMERICS_VERSION}


def test_it_ends_as_a_sweep_does_with_figures_report_studies_and_mlflow(trained_runs, tmp_path, capsys):
    run = Path(shutil.copytree(trained_runs("save_weights=last").parent, tmp_path / "copy")) / "run"
    space = (run / "space.yaml").read_text()
    (run / "space.yaml").write_text(space.partition("\n")[2].replace("track: sweep", "track: members"))
    store = f"sqlite:///{tmp_path}/other.db"
    assert evaluated(run, "--tracking-uri", store) == 0
    assert "4 members, 1 cell" in capsys.readouterr().out
    report = run / "report.html"
    first = report.stat().st_mtime_ns
    assert (run / "figures/order_parameters.png").exists()
    assert (run / "studies.log").read_text().count('"op_code":4') == 4, "a trial per member"
    spoil(run, {"elbo_nats"})
    assert evaluated(run, "--tracking-uri", store) == 0
    said = capsys.readouterr().out
    assert "4 members, 14 files logged, 1 cell already there" in said, "runs of members are replaced"
    assert "top-layer KL" in said
    assert report.stat().st_mtime_ns > first


def test_metrics_that_the_history_lacks_are_null_in_its_earlier_rows_only(copy):
    """As in a run that is older than a metric."""
    run = copy("save_weights=last")
    for path in (run / "fragments").glob("*.parquet"):
        pq.write_table(pq.read_table(path).drop_columns(["kl_top_nats_sd"]), path)
    assert evaluated(run) == 0
    assert [row["kl_top_nats_sd"] is None for row in rows_of(run)] == [False, False, False, True]
    for entry in rows_of(run, "history"):
        assert (entry["kl_top_nats_sd"] is None) == (entry["step"] < 40)


def test_merged_fragments_stay_merged(copy, monkeypatch):
    run = copy("save_weights=last")
    members, history = rows_of(run, without=VERSIONS), rows_of(run, "history")
    with monkeypatch.context() as patch, opened(run, search_spaces.load(str(run / "space.yaml"))) as ledger:
        patch.setattr(fragments, "MERGED_PACKS", 2)
        ledger._fragments.merge()
    (fragment,) = (run / "fragments").glob("*.members.parquet")
    spoil(run, VALIDATION_METRICS)
    assert evaluated(run) == 0
    assert list((run / "fragments").glob("*.members.parquet")) == [fragment]
    assert rows_of(run, without=VERSIONS) == members
    assert rows_of(run, "history") == history


# Interrupted


def test_a_signal_ends_it_between_packs_and_the_same_command_finishes(copy, monkeypatch, capsys):
    run = copy("save_weights=last")
    members, tables = rows_of(run, without=VERSIONS), (run / "members.parquet").read_bytes()
    spoil(run, VALIDATION_METRICS)
    measured, packs = PackTraining.measured, []

    def interrupted(self, *given):
        packs.append(self.members)
        signal.raise_signal(signal.SIGINT)
        return measured(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(PackTraining, "measured", interrupted)
        assert evaluated(run) == 128 + signal.SIGINT
    said = capsys.readouterr().out
    assert "SIGINT: stopping; what is measured is saved" in said
    assert "the same command measures the rest first" in said
    assert (run / "members.parquet").read_bytes() == tables

    def noted(self, *given):
        packs.append(self.members)
        return measured(self, *given)

    monkeypatch.setattr(PackTraining, "measured", noted)
    assert evaluated(run) == 0
    assert packs == [packs[0], packs[1], packs[0]], "a pack of the other version goes first"
    assert packs[0] != packs[1]
    assert rows_of(run, without=VERSIONS) == members


@pytest.mark.parametrize("files", [0, 1, 2, 3])
def test_a_kill_at_any_file_leaves_a_run_that_the_same_command_finishes(copy, monkeypatch, files):
    run = copy("save_weights=last")
    members, history = rows_of(run, without=VERSIONS), rows_of(run, "history")
    spoil(run, VALIDATION_METRICS)
    written = itertools.count()

    def write(table, path, real=directory.write_table):
        if next(written) == files:
            raise KeyboardInterrupt
        real(table, path)

    with monkeypatch.context() as patch:
        for module in (directory, fragments):
            patch.setattr(module, "write_table", write)
        assert evaluated(run) == 130
    assert next(written) == files + 1
    assert evaluated(run) == 0
    assert rows_of(run, without=VERSIONS) == members
    assert rows_of(run, "history") == history


def test_a_full_disk_is_one_error(copy, monkeypatch, capsys):
    run = copy("save_weights=last")

    def write(table, path):
        error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise directory.TableError(f"cannot write {path}: {error.strerror}") from error

    for module in (directory, fragments):
        monkeypatch.setattr(module, "write_table", write)
    assert evaluated(run) == 1
    assert "error: the measured pack" in (said := capsys.readouterr().out)
    assert "No space left on device; make room" in said


# Members that stay behind


def test_members_without_weights_stay_behind_and_are_named(copy, capsys):
    run = copy("save_weights=last")
    members = rows_of(run, without=VERSIONS)
    spoil(run, {"kl_top_nats"})
    (run / f"weights/{members[0]['pack_id']}.safetensors").unlink()
    assert evaluated(run) == 1
    rows, said = rows_of(run), capsys.readouterr().out
    assert [row["numerics_version"] for row in rows] == [NUMERICS_VERSION - 1] * 2 + [NUMERICS_VERSION] * 2
    assert [row["kl_top_nats"] for row in rows[:2]] == [row["kl_top_nats"] + 1 for row in members[:2]]
    assert rows[2]["kl_top_nats"] == members[2]["kl_top_nats"]
    ids = ", ".join(row["member_id"] for row in members[:2])
    assert f"error: 2 members not measured ({ids}): no weights of it are kept" in said
    assert f"2 members still of numerics version {NUMERICS_VERSION - 1}: sweeps of this version" in said


def rewrite(path, weights=lambda value: value, **about):
    """Write another file of weights, without a seal; None takes an entry of its metadata away."""
    with safe_open(path, "pt") as file:
        tensors = {name: weights(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
        about = file.metadata() | {"seal": None} | about
        held = {key: value for key, value in about.items() if value is not None}
    save_file(tensors, path, held)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "is no file of weights that this version"),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1] + b"!"),
            "its content has changed since it was",
        ),
        (lambda path: rewrite(path, members=json.dumps([[0.5, 7]])), "holds weights of other members"),
        (lambda path: rewrite(path, control="kl_weight"), "holds weights of other members"),
        (lambda path: rewrite(path, weights=lambda v: v * torch.nan), "ELBO or objective is not finite"),
        (
            lambda path: rewrite(path, weights=lambda v: v[..., :1].contiguous()),
            "ValueError: names or shapes",
        ),
        (
            lambda path: rewrite(path, weights=lambda v: v[:1], members=json.dumps([[0.5, 0]])),
            "it is not in the file of its pack's weights",
        ),
    ],
    ids=["cut", "changed", "foreign", "of another control", "not finite", "shapes", "one less"],
)
def test_a_file_that_cannot_be_used_costs_its_own_members_alone(copy, capsys, damage, said):
    run = copy("save_weights=last")
    members = rows_of(run, without=VERSIONS)
    spoil(run, {"kl_top_nats"})
    damage(run / f"weights/{members[0]['pack_id']}.safetensors")
    assert evaluated(run) == 1
    rows = rows_of(run)
    assert rows[1]["kl_top_nats"] == members[1]["kl_top_nats"] + 1
    assert rows[1]["numerics_version"] == NUMERICS_VERSION - 1
    assert rows[2]["kl_top_nats"] == members[2]["kl_top_nats"]
    assert said in capsys.readouterr().out


def test_a_file_that_does_not_say_which_weights_it_holds_is_not_used_for_either(copy, capsys):
    """A version before this one wrote them so."""
    run = copy("save_weights=best", "select=best", "learning_rate=0.3", *TEST)
    for path in (run / "weights").iterdir():
        rewrite(path, state=None)
    members = rows_of(run)
    early = [row["selected_step"] < 40 for row in members[:3]]
    assert any(early)
    if all(early):
        assert "does not say whether the weights are the last or the best" in refusal(capsys, run)
    else:
        assert evaluated(run) == 1
        assert "does not say whether the weights are the last or the best" in capsys.readouterr().out


# Input that cannot be used


def test_no_run_and_no_weights_are_one_line(copy, tmp_path, capsys):
    assert "nowhere holds no run: it has no space.yaml; give the folder" in refusal(
        capsys, tmp_path / "nowhere"
    )
    run = copy("save_weights=last")
    shutil.rmtree(run / "weights")
    assert "keeps no weights, so that its members cannot be measured anew; train" in refusal(capsys, run)
    shutil.rmtree(run / "fragments")
    assert "has no finished members; run its sweep first" in refusal(capsys, run)


def unchanged(run):
    return {path: path.read_bytes() for path in (run / "fragments").iterdir()}


def test_data_of_another_digest_are_refused(copy, monkeypatch, capsys):
    run = copy("save_weights=last")
    before = unchanged(run)

    def other_data(name, *given, **keys):
        data = load_data(name)
        return replace(data, validation=data.validation[::-1].copy())

    monkeypatch.setattr("sweeps.plan.data_sets.load", other_data)
    said = refusal(capsys, run)
    assert "no member can be measured" in said
    assert "the data set digits has the digest" in said
    assert "point --data-dir to the data of then" in said
    assert unchanged(run) == before


def test_weights_that_this_version_would_not_train_are_refused(copy, monkeypatch, capsys):
    run = copy("save_weights=last")
    before = unchanged(run)
    monkeypatch.setattr("sweeps.plan.cells.TRAINING_VERSION", 1000)
    assert "trained by another version of the project" in refusal(capsys, run)
    assert unchanged(run) == before


def test_members_of_another_kind_of_device_are_refused(copy, monkeypatch, capsys):
    run = copy("save_weights=last")
    spoil(run, set(), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "trained on cuda, and this machine has no GPU: evaluation noise" in refusal(capsys, run)


def test_a_run_in_use_is_refused(copy, capsys):
    run = copy("save_weights=last")
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"{run} is in use by another sweep or evaluation" in refusal(capsys, run)
    assert evaluated(run) == 0
