"""A sweep of another control parameter than rho: its names from the terminal to the page."""

import json
import re

import pytest

from analysis import load
from analysis.tables.files import read_history, read_members
from sweeps.models import load_model
from tests.sweeps.conftest import sweep_digits

KEYS = (
    *("rho=0.9", "kl_weight={low: 0.25, high: 16, points: 3}", "latents=[[6, 4]]", "hidden=[16]", "seeds=2"),
    *("steps=40", "eval_every=20", "search=grid", "save_weights=last"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the folder of a sweep of the KL's weight."""
    out = tmp_path_factory.mktemp("beta") / "run"
    assert sweep_digits(out, *KEYS) == 0
    return out


def test_a_member_is_a_value_of_the_key_that_is_swept(run):
    rows = read_members(run).to_pylist()
    assert {(row["control"], row["value"], row["seed"]) for row in rows} == {
        ("kl_weight", value, seed) for value in (0.25, 2.0, 16.0) for seed in (0, 1)
    }
    assert all(row["kl_weight"] == row["value"] and row["rho"] == 0.9 for row in rows)
    assert len({row["cell_id"] for row in rows}) == 1
    assert set(read_history(run)["value"].to_pylist()) == {0.25, 2.0, 16.0}


def test_thresholds_lie_on_the_scale_of_the_key(run):
    (kl, _) = load(run).thresholds.to_dict("records")
    assert (kl["control"], kl["scale"], kl["g_c"]) == ("kl_weight", "log", None) or kl["g_c"] != kl["g_c"]
    assert kl["kl_weight"] != kl["kl_weight"], "the key of a curve has no value of its own"
    assert kl["collapsed_side"] == "high"


def test_texts_and_charts_have_its_symbol(run):
    page = (run / "report.html").read_text()
    assert "β<sub>c</sub>" in page
    assert not re.search(r"ρ<sub>c</sub>|ρ_c|rho_c", page)
    assert "kl_weight_c" in str(load(run).table())
    axis = load(run).plot().spec
    assert "weight of the KL β" in json.dumps(axis, ensure_ascii=False)
    assert '"type": "log"' in json.dumps(axis)


def test_the_same_command_extends_it_and_another_control_is_refused(run, capsys):
    assert sweep_digits(run, *KEYS, "kl_weight=[0.25, 1, 2, 16]") == 0
    assert "6 members are there already of about 8" in capsys.readouterr().out
    assert sweep_digits(run, *KEYS, "kl_weight=1", "rho=[0.5, 0.9]") == 2
    assert "it sweeps kl_weight there, rho now" in capsys.readouterr().err


def test_a_model_has_the_value_of_its_member(run):
    row = next(row for row in read_members(run).to_pylist() if row["value"] == 16)
    member = load_model(run, row["member_id"])
    assert (member.model.cell.kl_weight, member.rho) == (16, 0.9)
