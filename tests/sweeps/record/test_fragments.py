"""Fragments: whole packs or none, and nothing damaged, doubled or foreign counts."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from analysis import TableError
from analysis.tables.files import read_members, read_settings, read_table
from analysis.tables.schema import MEMBERS, THRESHOLDS
from sweeps import SweepError
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.record import directory, fragments
from tests.sweeps.conftest import ROOT, held, opened, write_tables
from tests.sweeps.record.conftest import kl_top, points, rows_in, snapshot, without_times


class TestFragments:
    def test_what_was_added_is_there_when_it_is_opened_again(self, tmp_path, make_space, train):
        with opened(tmp_path / "run", make_space()) as ledger:
            packs = [train(ledger, points(seed)) for seed in (0, 1)]
            added, sweep_id = dict(ledger.members), ledger.run.sweep_id
        assert len(added) == 6
        with opened(tmp_path / "run", make_space()) as ledger:
            assert {key: row["kl_top_nats"] for key, row in ledger.members.items()} == {
                key: row["kl_top_nats"] for key, row in added.items()
            }
            assert ledger.run.sweep_id == sweep_id != ""
            members, history = rows_in(ledger)
            assert {row["pack_id"] for row in members} == {pack.pack_id for pack in packs}
            assert [row["step"] for row in history] == [0, 10, 20] * 6

    def test_a_pack_counts_once_its_members_are_in_place_and_never_without_a_history(
        self, tmp_path, make_space, train, monkeypatch
    ):
        """The disk fills up before the first file, then between the two files of a pack."""
        with opened(tmp_path / "run", make_space()) as ledger:
            for files in (0, 1):
                left = files

                def write(table, path, real=directory.write_table):
                    nonlocal left
                    if left == 0:
                        raise TableError(f"cannot write {path}: No space left on device")
                    left -= 1
                    real(table, path)

                monkeypatch.setattr(directory, "write_table", write)
                with pytest.raises(
                    SweepError, match=r"could not be written.*No space left.*same command again"
                ):
                    train(ledger, points(0))
                monkeypatch.undo()
                assert ledger.members == {}
                assert list((tmp_path / "run" / "fragments").glob("*.members.parquet")) == []
        with opened(tmp_path / "run", make_space()) as ledger:
            assert ledger.members == {}
            train(ledger, points(0))
            _, history, _ = write_tables(ledger, make_space())
            assert history.num_rows == 9, "the history of the pack that was cut off is replaced"

    @pytest.fixture
    def merged(self, monkeypatch):
        """Let three packs be many."""
        monkeypatch.setattr(fragments, "MERGED_PACKS", 3)

    @pytest.fixture
    def expected(self, tmp_path, make_space, train):
        """Return the tables of seven packs whose fragments stay what they are."""
        with opened(tmp_path / "loose", make_space()) as ledger:
            for seed in range(7):
                train(ledger, points(seed))
            return [without_times(table) for table in self.tables(ledger, make_space())]

    @staticmethod
    def tables(ledger, space):
        members, history, _ = write_tables(ledger, space)
        return members, history.append_column("finished_at", pa.nulls(len(history)))

    @staticmethod
    def fragments(path):
        names = [file.name.partition(".")[0] for file in (path / "fragments").glob("*.members.parquet")]
        return sorted(name.startswith("merged-") for name in names)

    def test_fragments_of_many_packs_become_one(self, tmp_path, make_space, train, expected, merged):
        path, space = tmp_path / "run", make_space()
        with opened(path, space) as ledger:
            for seed in range(7):
                train(ledger, points(seed))
            assert self.fragments(path) == [False, True, True]
            assert [without_times(table) for table in self.tables(ledger, space)] == expected
        with opened(path, space) as ledger:
            assert [without_times(table) for table in self.tables(ledger, space)] == expected
            for seed in (7, 8):
                train(ledger, points(seed))
            assert self.fragments(path) == [True, True, True], "what was there counts too"

    @pytest.mark.parametrize("left", ["both", "histories"])
    def test_a_kill_while_fragments_become_one_loses_and_doubles_nothing(
        self, tmp_path, make_space, train, expected, merged, left
    ):
        path, space = tmp_path / "run", make_space()
        with opened(path, space) as ledger:
            for seed in (0, 1):
                train(ledger, points(seed))
            before = {file: file.read_bytes() for file in (path / "fragments").iterdir()}
            for seed in range(2, 7):
                train(ledger, points(seed))
        for file, content in before.items():
            if left == "both" or ".history." in file.name:
                file.write_bytes(content)
        with opened(path, space) as ledger:
            assert [without_times(table) for table in self.tables(ledger, space)] == expected
            assert self.fragments(path) == [False, True, True]

    def test_fragments_stay_where_there_is_no_room_for_one(
        self, tmp_path, make_space, train, expected, merged, monkeypatch
    ):
        path, space = tmp_path / "run", make_space()

        def write(table, file, real=fragments.write_table):
            if file.name.startswith("merged-") and ".members." in file.name:
                raise TableError(f"cannot write {file}: No space left on device")
            real(table, file)

        monkeypatch.setattr(fragments, "write_table", write)
        with opened(path, space) as ledger:
            for seed in range(7):
                train(ledger, points(seed))
            assert self.fragments(path) == [False] * 7
            assert [without_times(table) for table in self.tables(ledger, space)] == expected
        monkeypatch.undo()
        with opened(path, space) as ledger:
            assert [without_times(table) for table in self.tables(ledger, space)] == expected

    def test_a_history_without_its_members_is_no_part_of_the_tables(self, tmp_path, make_space, train):
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
            cut_off = train(ledger, points(1))
        (tmp_path / "run" / "fragments" / f"{cut_off.pack_id}.members.parquet").unlink()
        with opened(tmp_path / "run", make_space()) as ledger:
            members, history, _ = write_tables(ledger, make_space())
        assert set(members["seed"].to_pylist()) == set(history["seed"].to_pylist()) == {0}

    @pytest.mark.process
    def test_a_driver_killed_while_it_writes_leaves_nothing_that_counts(self, tmp_path, make_space, train):
        code = """
import os, signal, sys
import pyarrow as pa, pyarrow.parquet as pq
from analysis.tables.schema import MEMBERS
from analysis.tables.files import write_table
real = pq.write_table
def dying(table, file, **options):
    real(table, file, **options)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
pq.write_table = dying
write_table(MEMBERS.empty_table(), sys.argv[1])
"""
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
        target = tmp_path / "run" / "fragments" / "0123456789abcdef.members.parquet"
        done = subprocess.run(
            [sys.executable, "-c", code, str(target)], env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == -signal.SIGKILL
        strays = [path for path in target.parent.iterdir() if path.name.startswith(".")]
        assert len(strays) == 1, "the kill came while the file was written aside"
        assert not target.exists()
        with opened(tmp_path / "run", make_space()) as ledger:
            assert len(ledger.members) == 3
            assert write_tables(ledger, make_space())[0].num_rows == 3

    @pytest.mark.parametrize("kind", ["members", "history"])
    @pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
    def test_a_pack_with_a_cut_fragment_is_set_aside_and_trained_anew(
        self, tmp_path, make_space, train, kind, damage
    ):
        with opened(tmp_path / "run", make_space()) as ledger:
            cut = train(ledger, points(0))
            train(ledger, points(1))
        path = tmp_path / "run" / "fragments" / f"{cut.pack_id}.{kind}.parquet"
        whole = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(whole[:1000] if damage == "truncated" else b"")
        with opened(tmp_path / "run", make_space()) as ledger:
            assert {row["seed"] for row in ledger.members.values()} == {1}
            if (kind, damage) != ("members", "missing"):
                (notice,) = ledger.run.notices
                assert path.name in notice
                assert "trained anew" in notice
                assert len(list(path.parent.glob("*.bad"))) == (1 if damage == "missing" else 2)
            train(ledger, points(0))
            assert write_tables(ledger, make_space())[1].num_rows == 18

    def test_a_directory_that_is_moved_meanwhile_keeps_all_results(self, tmp_path, make_space, train):
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
            (tmp_path / "run").rename(tmp_path / "moved")
            train(ledger, points(1))
            write_tables(ledger, make_space())
        assert [path.name for path in tmp_path.iterdir()] == ["moved"]
        assert read_members(tmp_path / "moved").num_rows == 6
        with opened(tmp_path / "moved", make_space()) as ledger:
            assert len(ledger.members) == 6

    def test_a_history_of_another_fragment_is_set_aside(self, tmp_path, make_space, train):
        """Under this name its own is lost, and its rows would count twice."""
        run, space = tmp_path / "run", make_space()
        with opened(run, space) as ledger:
            one, other = train(ledger, points(0)), train(ledger, points(1))
        path = run / "fragments" / f"{other.pack_id}.history.parquet"
        shutil.copy(run / "fragments" / f"{one.pack_id}.history.parquet", path)
        with opened(run, space) as ledger:
            assert ledger.run.notices == [
                f"{path.name} cut, changed or missing, and set aside as .bad; members that no other fragment "
                "has are trained anew"
            ]
            assert {row["seed"] for row in ledger.members.values()} == {0}

    @pytest.mark.parametrize("name", ["costs.parquet", "fragments/0123.failed.parquet"])
    def test_what_is_derived_anew_is_set_aside_and_named(self, tmp_path, make_space, train, name):
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
        path = tmp_path / "run" / name
        path.write_bytes(b"PAR1 cut off PAR1")
        with opened(tmp_path / "run", make_space()) as ledger:
            (notice,) = ledger.run.notices
            assert notice.startswith(f"{path.name} cut, changed or missing, and set aside as .bad; ")
            assert len(ledger.members) == 3
        assert (path.exists(), path.with_name(f"{path.name}.bad").exists()) == (False, True)

    @pytest.mark.parametrize("kind", ["members", "history"])
    def test_a_fragment_of_another_schema_is_named(self, tmp_path, make_space, train, kind):
        """It is whole, so that it is no accident: whoever put it there decides."""
        with opened(tmp_path / "run", make_space()) as ledger:
            pack = train(ledger, points(0))
        path = tmp_path / "run" / "fragments" / f"{pack.pack_id}.{kind}.parquet"
        fragments.write_table(THRESHOLDS.empty_table(), path)

        def read():
            with opened(tmp_path / "run", make_space()) as ledger:
                write_tables(ledger, make_space())

        with pytest.raises(SweepError, match=rf"(?s){path} cannot be .* is a thresholds table.*delete"):
            read()

    def test_what_a_killed_writer_left_aside_is_removed_and_nothing_of_others(
        self, tmp_path, make_space, train
    ):
        run = tmp_path / "run"
        with opened(run, make_space()) as ledger:
            train(ledger, points(0))
        dead, running = 2**22 + 1, os.getppid()
        left = [
            f".space.yaml.{dead}.01234567.tmp",
            f"fragments/.0123.members.parquet.{dead}.01234567.tmp",
            f"checkpoints/.0123.pt.{dead}.tmp",
            f"figures/.curves.png.{dead}.01234567.tmp",
        ]
        others = [
            ".draft.tmp",
            "fragments/.mine.tmp",
            "notes/.space.yaml.1.tmp",
            f".members.parquet.{running}.01234567.tmp",
        ]
        for name in left + others:
            (run / name).parent.mkdir(exist_ok=True)
            (run / name).touch()
        (run / ".cache.tmp").mkdir()
        (run / f".report.html.{dead}.01234567.tmp").mkdir()
        with opened(run, make_space()) as ledger:
            assert [name for name in left if (run / name).exists()] == []
            assert [name for name in others if not (run / name).exists()] == []
            assert len(ledger.members) == 3

    def test_a_flipped_bit_anywhere_never_gives_another_number(self, tmp_path, make_space, train):
        """What is changed is named, and set aside or refused."""
        run, space = tmp_path / "run", make_space()
        with opened(run, space) as ledger:
            train(ledger, points(0))
            rows = rows_in(ledger)
        for file in (*(run / "fragments").iterdir(), run / "space.yaml"):
            whole = file.read_bytes()
            for place in range(0, len(whole), len(whole) // 6):
                file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
                refused = contextlib.nullcontext()
                if file.name == "space.yaml":
                    refused = pytest.raises(TableError, match=rf"{file} cannot be used")
                with refused, held(run, space) as ledger:
                    assert rows_in(ledger) == (rows if not ledger.run.notices else ([], []))
                    assert all(file.name in notice for notice in ledger.run.notices)
            file.write_bytes(whole)

    def test_cut_settings_are_refused(self, tmp_path, make_space):
        """Keys at the end of the file say how thresholds are found."""
        path = tmp_path / "run" / "space.yaml"
        with opened(path.parent, make_space()):
            whole = path.read_bytes()
        for size in range(whole.index(b"search"), len(whole), 50):
            path.write_bytes(whole[:size])
            with pytest.raises(TableError, match=r"space\.yaml cannot be used"):
                read_settings(path.parent)

    def test_a_refused_sweep_leaves_no_directory_behind(self, tmp_path, make_space, train):
        def refused(path):
            with pytest.raises(SweepError, match="no"), opened(path, make_space()):
                raise SweepError("no")

        refused(tmp_path / "deep" / "run")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "mine").mkdir()
        refused(tmp_path / "mine" / "run")
        assert list((tmp_path / "mine").iterdir()) == []
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
        refused(tmp_path / "run")
        with opened(tmp_path / "run", make_space()) as ledger:
            assert len(ledger.members) == 3

    def test_a_refused_sweep_changes_nothing(self, tmp_path, make_space, train):
        """Before it begins it only looks, also where it finds what is to be set aside."""
        run, space = tmp_path / "run", make_space()
        with opened(run, space) as ledger:
            cut = train(ledger, points(0))
            train(ledger, points(1))
        (run / "fragments" / f"{cut.pack_id}.history.parquet").write_bytes(b"cut")
        (run / "fragments" / ".0123.members.parquet.999999.tmp").touch()
        (run / ".lock").unlink()
        (tmp_path / "mine").mkdir()
        before = snapshot(tmp_path)
        for path in (run, tmp_path / "mine", tmp_path / "deep" / "new"):
            with pytest.raises(SweepError, match="no"), held(path, make_space(confidence=0.5)):
                raise SweepError("no")
        assert snapshot(tmp_path) == before
        with opened(run, space):
            assert (run / "fragments" / f"{cut.pack_id}.history.parquet.bad").read_bytes() == b"cut"

    @pytest.mark.parametrize("named", [True, False])
    def test_a_log_that_a_refusal_names_stays(self, tmp_path, make_space, named):
        log = tmp_path / "run" / "sweep.log"
        with pytest.raises(SweepError, match="no"), opened(tmp_path / "run", make_space()) as ledger:
            ledger.run.note("why")
            raise SweepError(f"no; see {log if named else 'elsewhere'}")
        assert snapshot(tmp_path) == ({"run": None, "run/sweep.log": b"why\n"} if named else {})

    @pytest.mark.parametrize("named", [True, False])
    def test_a_log_of_before_keeps_what_a_refusal_adds_if_it_is_named(
        self, tmp_path, make_space, train, named
    ):
        """Ray warns while it starts, beside checks that may refuse the sweep."""
        run, space = tmp_path / "run", make_space()
        with opened(run, space) as ledger:
            train(ledger, points(0))
            ledger.run.note("before")
        before, log = snapshot(run), run / "sweep.log"
        written = log.stat().st_mtime_ns
        with pytest.raises(SweepError, match="no"), held(run, space) as ledger:
            ledger.run.note("why")
            raise SweepError(f"no; see {log if named else 'elsewhere'}")
        assert snapshot(run) == before | ({"sweep.log": b"before\nwhy\n"} if named else {})
        assert (log.stat().st_mtime_ns == written) is not named

    def test_a_finished_pack_needs_no_checkpoint_any_more(self, tmp_path, make_space, plan_cells, train):
        with opened(tmp_path / "run", make_space()) as ledger:
            pack = Pack(plan_cells(make_space())[0], tuple(points(0)))
            checkpoint = ledger.run.checkpoint(pack.pack_id)
            checkpoint.write_bytes(b"state")
            train(ledger, points(0))
            assert not checkpoint.exists()


class TestRepeated:
    """A member in two fragments, as where those of two copies of a run are put together."""

    @pytest.fixture
    def run(self, tmp_path, make_space, train) -> Path:
        """Return a run of two packs, of which the first is there under another name too."""
        path = tmp_path / "run"
        with opened(path, make_space()) as ledger:
            self.pack = train(ledger, points(0))
            train(ledger, points(1))
        self.copy(path, self.pack.pack_id, "0000000000000000")
        return path

    @staticmethod
    def copy(path: Path, source: str, target: str) -> None:
        for kind in ("members", "history"):
            content = (path / "fragments" / f"{source}.{kind}.parquet").read_bytes()
            (path / "fragments" / f"{target}.{kind}.parquet").write_bytes(content)

    def test_of_two_with_the_same_results_one_is_kept(self, run, make_space):
        for _ in range(2):
            with opened(run, make_space()) as ledger:
                members, history, _ = write_tables(ledger, make_space())
                assert (members.num_rows, history.num_rows) == (6, 18)
                assert ledger.pack(self.pack.pack_id).members.num_rows == 3
            assert len(list((run / "fragments").glob("*.members.parquet"))) == 3, (
                "who copied it may remove it"
            )

    def test_a_copy_that_is_named_as_no_fragment_is_left_alone(self, run, make_space):
        self.copy(run, self.pack.pack_id, f"{self.pack.pack_id}.before")
        (run / "fragments" / "mine.before.members.parquet").write_text("mine")
        before = snapshot(run / "fragments")
        with opened(run, make_space()) as ledger:
            assert len(ledger.members) == 6
            assert ledger.run.notices == []
        assert snapshot(run / "fragments") == before

    def test_a_fragment_that_has_more_gives_what_is_new(self, run, make_space, plan_cells, result_of):
        """Members that were packed otherwise, at another time."""
        (run / "fragments" / "0000000000000000.members.parquet").unlink()
        with opened(run.with_name("other"), make_space()) as ledger:
            pack = Pack(plan_cells(make_space())[0], (Point(0.5, 0), Point(0.6, 0)))
            ledger.add(pack, result_of(pack, kl_top))
        for file in (run.with_name("other") / "fragments").iterdir():
            file.rename(run / "fragments" / file.name)
        for _ in range(2):
            with opened(run, make_space()) as ledger:
                members, history, _ = write_tables(ledger, make_space())
            assert (members.num_rows, history.num_rows) == (7, 21)

    def test_of_two_with_different_results_both_are_named(self, run, make_space):
        file = run / "fragments" / "0000000000000000.members.parquet"
        table = read_table(file, MEMBERS)
        other = pa.array([1.5, *table["elbo_nats"].to_pylist()[1:]])
        index = table.schema.get_field_index("elbo_nats")
        fragments.write_table(table.set_column(index, table.schema.field(index), other), file)
        before = snapshot(run)
        names = f"0000000000000000.members.parquet and {self.pack.pack_id}.members.parquet"
        said = rf"{names} hold member \w+ .*\(elbo_nats '1.5' and '-20.0'\).*move"
        with pytest.raises(SweepError, match=said), opened(run, make_space()):
            pass
        assert snapshot(run) == before
