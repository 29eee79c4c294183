"""The results of a run: each table read once, and only when it is asked for."""

import pytest

from analysis import TableError
from analysis.results import Results, read_results
from analysis.tables.files import read_members


def test_a_table_is_read_once_and_not_before_it_is_asked_for(made_run):
    results = Results(made_run)
    (made_run / "history.parquet").unlink()
    assert results.members is results.members
    assert results.thresholds is results.summary.thresholds
    with pytest.raises(TableError, match=r"holds no history\.parquet"):
        _ = results.history


def test_tables_at_hand_are_not_read(made_run):
    members = read_members(made_run)
    (made_run / "members.parquet").write_text("no parquet")
    results = Results(made_run, {"members": members})
    assert results.members is members
    assert results.thresholds.num_rows == 2
    assert results.folder == made_run


def test_the_problems_of_all_runs_are_named_once(made_run, tmp_path):
    (made_run / "space.yaml").unlink()
    with pytest.raises(TableError) as error:
        read_results([made_run, tmp_path / "nowhere"])
    message = str(error.value)
    assert "space.yaml cannot be read" in message
    assert message.count("no such run") == 1
