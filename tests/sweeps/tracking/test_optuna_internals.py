"""Canaries: a test for each private or unstable part of Optuna that is used.

A test that fails here with a new version of Optuna names what the version changed.
"""

import json
import re

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from sweeps.tracking.optuna_internals import Journal, is_whole


def study_in(journal, name="cell"):
    return optuna.create_study(storage=JournalStorage(journal), study_name=name, load_if_exists=True)


def trial(value):
    return create_trial(state=TrialState.COMPLETE, value=value)


def values_in(journal):
    return [each.value for each in study_in(journal).trials]


def test_optunas_own_backend_reads_the_lines_with_checksums(tmp_path):
    path = tmp_path / "studies.log"
    study_in(Journal(path)).add_trials([trial(1.0), trial(2.0)])
    assert all(b'"crc32":' in line for line in path.read_bytes().splitlines())
    assert values_in(JournalFileBackend(str(path))) == [1.0, 2.0]


def test_lines_of_optunas_own_backend_are_read(tmp_path):
    path = tmp_path / "studies.log"
    study_in(JournalFileBackend(str(path))).add_trials([trial(1.0)])
    assert is_whole(path)
    study_in(Journal(path)).add_trials([trial(2.0)])
    assert is_whole(path)
    assert values_in(Journal(path)) == [1.0, 2.0]


def test_a_line_is_an_entry_of_json_by_operation(tmp_path):
    path = tmp_path / "studies.log"
    study_in(Journal(path)).add_trials([trial(1.0)])
    entries = [json.loads(line) for line in path.read_bytes().splitlines()]
    assert all({"op_code", "worker_id"} <= entry.keys() for entry in entries)


def test_entries_are_appended_without_a_lock(tmp_path, monkeypatch):
    """Optuna's own `append_logs` takes the lock; its reader must not."""
    path = tmp_path / "studies.log"
    journal = Journal(path)
    for name in ("acquire", "release"):
        monkeypatch.setattr(journal._lock, name, lambda: pytest.fail("a lock was taken"))
    study_in(journal).add_trials([trial(1.0)])
    assert values_in(Journal(path)) == [1.0]


def test_a_line_that_was_cut_short_is_removed(tmp_path):
    path = tmp_path / "studies.log"
    study_in(Journal(path)).add_trials([trial(1.0)])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    assert values_in(Journal(path)) == [1.0]
    assert path.read_bytes().startswith(whole)
    assert is_whole(path)


def test_any_changed_byte_of_a_line_is_seen(tmp_path):
    path = tmp_path / "studies.log"
    study_in(Journal(path)).add_trials([trial(1.0)])
    content = path.read_bytes()
    for place in range(content.index(b"\n") + 1, len(content) - 1, 7):
        if content[place : place + 1] != b"\n":
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            assert not is_whole(path), place
    path.write_bytes(b"\x89PNG\n")
    with pytest.raises(ValueError, match=re.escape("it is no journal of Optuna")):
        is_whole(path)
