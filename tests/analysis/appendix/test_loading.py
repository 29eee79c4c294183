"""Runs that are missing, incomplete, or of something else."""

import pytest

from analysis import TableError
from analysis.appendix.exhibits import figure5, table6, table9
from analysis.appendix.loading import load
from analysis.appendix.runs import settings
from analysis.appendix.sections import build
from analysis.paper import main
from tests.analysis.conftest import failed_row

SIZES = (40,) * 4


def test_a_run_of_failed_members_alone_has_a_page(paper_member, write_run):
    rows = [failed_row(paper_member("table6-quick", SIZES, (1, 3, 9, 17), seed)) for seed in range(2)]
    section = build(table6.EXHIBIT, write_run("table6-quick", rows))
    assert section.rows[0].budget == "3,000 steps, 0 seeds (2 more failed)"
    assert "PyTorch" not in dict(settings(section.run))
    assert section.verdicts == ", ".join(["not enough data"] * 6)


def test_lost_members_of_a_cell_are_told(make_members, write_run):
    lost = {"diverged": [((8, 8), 0, 0.5)], "failed": [((8, 8), 1, 0.5), ((8, 8), 1, 0.55)]}
    cells = {(8, 8): [0.8, 0.82], (16, 16): [0.6, 0.6]}
    rows = make_members(cells, space="figure5-quick", **lost).to_pylist()
    _, one, other = build(figure5.EXHIBIT, write_run("figure5-quick", rows)).cells
    assert one[1] == "3,000 steps, 2 seeds (members lost: 1 diverged, 2 failed)"
    assert other[1] == "3,000 steps, 2 seeds"


def test_a_row_that_is_two_models_is_refused(paper_member, write_run, capsys):
    rows = [paper_member("table6-quick", SIZES, (1, 3, 9, 17)) | {"cell_id": cell} for cell in ("a", "b")]
    assert main(["table6", str(write_run("table6-quick", rows))]) == 2
    message = capsys.readouterr().err
    assert "several models are one row of the paper's table" in message
    assert "digits mlp 40,40,40,40 at rho 1 (a)" in message
    with pytest.raises(TableError, match="is there more than once"):
        build(table6.EXHIBIT, write_run("table6-quick", [rows[0], rows[0]]))


def test_a_run_of_another_space_is_refused(table6_run, made_run, cost_row, write_run, capsys):
    for arguments, space in (
        (["table7", table6_run], "table6-quick"),
        (["table6", made_run], "made"),
        (["table10", table6_run], "table6-quick"),
        (["table1", table6_run], None),
    ):
        assert main(list(map(str, arguments))) == 2
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert (f"is a run of the space {space}, not of" if space else "no table or figure table1") in message
    costs = write_run("table9-quick", costs=[cost_row("vae", SIZES)])
    assert main(["table10", str(costs)]) == 2
    assert "give the run of table10, or make it: python sweeps/paper.py table10" in capsys.readouterr().err
    (costs / "space.yaml").unlink()
    assert load(table9.EXHIBIT, costs).budget == "quick"  # by the folder's name


def test_a_members_table_of_another_space_than_space_yaml_is_refused(table6_run, paper_member, write_run):
    (table6_run / "space.yaml").write_text("name: 'table6-quick'\n")
    assert load(table6.EXHIBIT, table6_run).budget == "quick"
    (table6_run / "space.yaml").write_text("name: table6-paper\n")
    assert load(table6.EXHIBIT, table6_run).budget == "paper"
    rows = [paper_member(space, SIZES, (1, 3, 9, 17)) for space in ("table6-quick", "digits")]
    with pytest.raises(TableError, match="members of several spaces: digits, table6-quick"):
        load(table6.EXHIBIT, write_run("table6-quick", rows))


def test_a_missing_run_is_told_and_is_no_error(tmp_path, capsys):
    assert main(["table6", str(tmp_path / "table6-paper")]) == 0
    out = capsys.readouterr().out
    assert "not run: python sweeps/paper.py table6 --budget paper" in out
    assert "40, 40, 40, 24" in out
    assert main(["figure5", "--runs", str(tmp_path)]) == 0
    assert "not run: python sweeps/paper.py figure5 --budget quick" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_the_page_says_which_images_were_used(paper_member, write_run):
    """Of a run of older tables, which do not say how many there are, the data set's name alone."""
    known = {"dataset": "omniglot", "train_images": 3429, "validation_images": 201, "test_images": 1210}
    rows = [
        paper_member("table6-quick", SIZES, (1, 3, 9, 17), eval_images=200, **known),
        paper_member("table6-quick", SIZES, (1, 3, 9, 17), 1, **known | {"train_images": None}),
        paper_member("table6-quick", SIZES, (1, 3, 9, 17), 2, **known, bound_samples=None, bound_images=None),
    ]
    run = load(table6.EXHIBIT, write_run("table6-quick", rows))
    assert dict(settings(run))["data"] == (
        "omniglot 0f3c, 3,429 training, 200 of 201 validation, 500 of 1,210 test images or omniglot or "
        "omniglot 0f3c, 3,429 training, 201 validation images"
    )
