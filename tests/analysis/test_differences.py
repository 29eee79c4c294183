"""The command that compares two runs prints what `compare` returns."""

import json

from analysis import compare, load
from analysis.differences import main
from tests.analysis.conftest import of_kl_weight


def test_it_prints_what_compare_returns(make_members, write_run, capsys):
    paths = []
    for name, steps, onset in (("first", 2000, 0.9), ("second", 1000, 0.7)):
        rows = [
            row | {"member_id": f"{row['member_id']} {steps}", "cell_id": f"{row['cell_id']} {steps}"}
            for row in make_members({(8, 8): [onset, onset + 0.02, onset - 0.02]}, steps=steps).to_pylist()
        ]
        paths.append(str(write_run(name, rows)))
    expected = compare(load(paths[0]), load(paths[1]))
    assert main(paths) == 0
    printed = capsys.readouterr().out
    assert f"{expected['difference'][0]:+.3f}" in printed
    assert "p-values are corrected" in printed
    assert main([*paths, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["difference"] == expected["difference"][0]
    assert main([*paths, "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("| rho_c of | minus that of |")


def test_runs_that_cannot_be_compared_are_one_error(made_run, capsys):
    assert main([str(made_run), str(made_run)]) == 2
    assert "members in common" in capsys.readouterr().err


def test_critical_values_of_two_control_parameters_have_no_difference(make_members, make_run, capsys):
    cells = {(8, 8): [0.88, 0.84, 0.91]}
    first = make_run(make_members(cells), "first")
    second = make_run(of_kl_weight(make_members(cells)), "second", kl_weight=[0.5, 1.0])
    assert main([str(first), str(second)]) == 2
    assert "sweeps rho, the other kl_weight" in capsys.readouterr().err
