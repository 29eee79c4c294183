"""Members loaded back as models: their numbers are those of the tables, whatever trained them."""

import errno
import re
import shutil

import pyarrow.parquet as pq
import pytest
import torch

from analysis import TableError
from analysis.tables.files import read_sheet
from ouvae.data import load as load_data
from ouvae.training.noise import binarize, stream
from ouvae.training.pack import PackTraining
from ouvae.training.sheet import sheet_of
from search_spaces import SpaceError, load
from sweeps.models import load_model
from sweeps.worker import weights
from sweeps.worker.weights import WeightsError
from tests.sweeps.conftest import diverging, drawing_nothing, refusing, sweep_digits

KEYS = [
    *("latents=[[6, 4]]", "hidden=[16]", "ou_samples=2", "search=grid", "rho=[0.5, 0.9]", "seeds=2"),
    *("steps=200", "eval_every=50", "batch_size=50", "pack_size=3", "learning_rate=0.01"),
]
pytestmark = pytest.mark.usefixtures("store_is_there")

FEW_STEPS = ("steps=20", "eval_every=10")
MEASURED = ("elbo_nats", "reconstruction_nats", "kl_nats")


def sweep(out, *keys):
    """Run a sweep of four members in two packs, draw nothing, and return its exit code."""
    with drawing_nothing():
        return sweep_digits(out, *KEYS, *keys)


@pytest.fixture(scope="module")
def last(tmp_path_factory, empty_store):
    out = tmp_path_factory.mktemp("last") / "run"
    shutil.copy(empty_store, out.parent)
    assert sweep(out, "save_weights=last") == 0
    return out


def rows_of(run, table="members"):
    return pq.read_table(run / f"{table}.parquet").to_pylist()


def measured(member):
    """Measure a loaded model on the validation split as training does."""
    cell = member.model.cell
    pack = PackTraining(cell, [(member.rho, member.seed)], load_data(cell.dataset))
    pack._load({name: value[None] for name, value in member.model.state_dict().items()})
    pack.evaluate()
    return pack.outcomes()[0].history[-1]


def test_the_last_weights_are_those_of_the_tables_numbers(last):
    rows = rows_of(last)
    assert len(rows) == 4
    assert len(list((last / "weights").glob("*.safetensors"))) == 2
    for row in rows:
        member = load_model(last, row["member_id"])
        assert (member.rho, member.seed) == (row["rho"], row["seed"])
        found = measured(member)
        for name in MEASURED:
            assert found[name] == pytest.approx(row[name], rel=1e-5, abs=1e-5), name


def test_the_best_weights_are_those_of_the_highest_elbo(tmp_path):
    """At a learning rate at which the last evaluation is not the best one for all."""
    run = tmp_path / "run"
    tested = ("select=best", "bound_samples=2", "bound_images=20")
    assert sweep(run, "save_weights=best", "learning_rate=0.1", *tested) == 0
    elbos = {}
    for row in rows_of(run, "history"):
        elbos.setdefault(row["member_id"], []).append(row["elbo_nats"])
    assert any(own[-1] < max(own) for own in elbos.values())
    for member_id, own in elbos.items():
        found = measured(load_model(run / "members.parquet", member_id))
        assert found["elbo_nats"] == pytest.approx(max(own), rel=1e-5)


def test_best_weights_ask_for_what_knows_them():
    with pytest.raises(SpaceError, match=r"save_weights: best with select last.*use select: best, or"):
        load("digits", ["save_weights=best"])


def test_a_model_reconstructs_and_samples(last):
    data = load_data("digits")
    pixels = torch.from_numpy(data.test[:50])
    images = binarize(pixels, stream(torch.device("cpu"), "test"))
    member = load_model(last, next(row["member_id"] for row in rows_of(last) if row["rho"] == 0.5))
    found = member.reconstruct(images, seed=3)
    assert found.shape == images.shape
    assert bool(((found > 0) & (found < 1)).all())
    assert torch.equal(found, member.reconstruct(images, seed=3))
    assert not torch.equal(found, member.reconstruct(images, seed=4))
    own, others = ((one - pixels).square().sum(-1) for one in (found, found.roll(1, 0)))
    closer = (others > own).float().mean()
    assert closer > 0.6, "to its own image than to another one's"
    for same in (images.numpy(), images.view(50, 8, 8), images.double().numpy().reshape(50, 8, 8)):
        assert torch.equal(found, member.reconstruct(same, seed=3))
    with pytest.raises(
        ValueError, match=re.escape("shape [64]; give [B, 64], or [B, 8, 8] with the B images")
    ):
        member.reconstruct(images[0])
    samples = member.sample(2000, seed=1)
    assert samples.shape == (2000, images.shape[1])
    assert torch.equal(samples, member.sample(2000, seed=1))
    assert (samples.mean(0) - torch.from_numpy(data.train).mean(0)).abs().max() < 0.15


def test_the_sheet_of_the_cell_has_what_these_models_draw(last):
    data = load_data("digits")
    images = binarize(torch.from_numpy(data.validation), stream(torch.device("cpu"), "validation"))
    (path,) = (last / "sheets").iterdir()
    rows = read_sheet(last, path.stem).to_pylist()
    assert [(row["value"], row["seed"]) for row in rows] == [(0.5, 0), (0.9, 0)], "of the first seed only"
    for row in rows:
        drawn = vars(sheet_of(load_model(last, row["member_id"]).model, images, 0))
        assert {name: row[name] for name in drawn} == drawn | {"image_shape": [8, 8]}


def test_what_was_trained_without_weights_says_so(last, tmp_path):
    run = tmp_path / "run"
    assert sweep(run, *FEW_STEPS, "save_images=none") == 0
    assert not (run / "weights").exists()
    assert not (run / "sheets").exists()
    member_id = rows_of(run)[0]["member_id"]
    with pytest.raises(WeightsError, match=rf"keeps no weights of member {member_id}.*save_weights=last"):
        load_model(run, member_id)
    more = sweep(run, *FEW_STEPS, "save_weights=last", "seeds=3")
    assert more == 0, "the members that are new have them"
    kept = {row["seed"] for row in rows_of(run) if (run / f"weights/{row['pack_id']}.safetensors").exists()}
    assert kept == {2}
    with pytest.raises(WeightsError, match="has no member nobody; the column member_id"):
        load_model(run, "nobody")
    with pytest.raises(TableError, match="no such run"):
        load_model(tmp_path / "nowhere", member_id)


@pytest.mark.parametrize("pack_size", [2, 4])
def test_members_that_diverged_have_none_and_the_others_have(tmp_path, monkeypatch, pack_size):
    """In a pack of their own, of which nobody is left, and in one with the others."""
    run = tmp_path / "run"
    diverging(monkeypatch, [(0.5, 1), (0.9, 1)])
    assert sweep(run, *FEW_STEPS, "save_weights=last", f"pack_size={pack_size}") == 0
    monkeypatch.undo()
    assert len(list((run / "weights").iterdir())) == 1
    for row in rows_of(run):
        if row["seed"] == 1:
            assert row["status"] == "diverged"
            with pytest.raises(WeightsError, match="has no weights: it diverged"):
                load_model(run, row["member_id"])
        else:
            found = measured(load_model(run, row["member_id"]))
            assert found["elbo_nats"] == pytest.approx(row["elbo_nats"], rel=1e-5)


@pytest.mark.parametrize("damage", [lambda whole: whole[: len(whole) // 2], lambda whole: b"none" * 100])
def test_a_file_that_is_none_is_one_error(last, tmp_path, damage):
    run = tmp_path / "run"
    shutil.copytree(last, run)
    row = rows_of(run)[0]
    path = run / f"weights/{row['pack_id']}.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match=rf"{re.escape(str(path))} is no file of weights that this versio"):
        load_model(run, row["member_id"])


def test_weights_that_cannot_be_written_cost_no_pack(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "save", refusing(errno.ENOSPC))
    assert sweep(tmp_path / "run", *FEW_STEPS, "save_weights=last") == 0
    assert capsys.readouterr().out.count("weights not kept: [Errno 28] No space left on device") == 2
    assert len(rows_of(tmp_path / "run")) == 4
    assert list((tmp_path / "run/weights").iterdir()) == []


@pytest.mark.process
def test_workers_of_ray_keep_them_too(uninterrupted):
    sweep, _ = uninterrupted
    for row in rows_of(sweep.out):
        found = measured(load_model(sweep.out, row["member_id"]))
        for name in MEASURED:
            assert found[name] == pytest.approx(row[name], rel=1e-5, abs=1e-5), name
