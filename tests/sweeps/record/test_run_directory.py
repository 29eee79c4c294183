"""The run directory: whole packs or none, one driver at a time, one space, errors that say what to mend."""

import contextlib
import dataclasses
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pyarrow as pa
import pytest

from analysis import TableError
from analysis.tables.files import read_history, read_members, read_settings, read_table
from analysis.tables.schema import HISTORY, MEMBERS, THRESHOLDS
from search_spaces import Space
from sweeps import SweepError
from sweeps.plan.cells import PlannedCell, Point
from sweeps.plan.packs import Pack
from sweeps.record import rows, run_directory
from sweeps.record.run_directory import DiskFullError, RunDirectory
from tests.sweeps.conftest import write_tables

ROOT = Path(__file__).parents[3]
RHOS = (0.5, 0.75, 1.0)


def kl_top(point: Point) -> float:
    return max(0.0, 2 * (0.8 - point.rho))


@pytest.fixture
def train(make_space, plan_cells, result_of):
    """Return a function that "trains" points of a space's cell and adds them to a directory."""

    def add(
        directory: RunDirectory,
        points: Sequence[Point],
        space: Space | None = None,
        cell: PlannedCell | None = None,
    ) -> Pack:
        space = space or make_space()
        pack = Pack(cell or plan_cells(space)[0], tuple(points))
        directory.add(pack.pack_id, rows.trained(space.name, pack, result_of(pack, kl_top)))
        return pack

    return add


def points(seed: int) -> list[Point]:
    return [Point(rho, seed) for rho in RHOS]


@contextlib.contextmanager
def reopened(path: Path, space: Space) -> Iterator[RunDirectory]:
    directory = RunDirectory(path)
    with directory.opened(space):
        yield directory


def fill(path: Path) -> None:
    """Write to a file until its disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def snapshot(path: Path) -> dict[str, bytes | None]:
    """Return the content of all files below a folder, by their paths; None of folders."""
    return {
        str(file.relative_to(path)): file.read_bytes() if file.is_file() else None for file in path.rglob("*")
    }


def without_times(table: pa.Table) -> list[dict]:
    return table.drop_columns(["finished_at"]).to_pylist()


class TestFragments:
    def test_what_was_added_is_there_when_it_is_opened_again(self, tmp_path, make_space, train):
        with reopened(tmp_path / "run", make_space()) as directory:
            packs = [train(directory, points(seed)) for seed in (0, 1)]
            added, sweep_id = dict(directory.members), directory.sweep_id
        assert len(added) == 6
        with reopened(tmp_path / "run", make_space()) as directory:
            assert {key: row["kl_top_nats"] for key, row in directory.members.items()} == {
                key: row["kl_top_nats"] for key, row in added.items()
            }
            assert directory.sweep_id == sweep_id != ""
            members, history = directory.rows()
            assert {row["pack_id"] for row in members} == {pack.pack_id for pack in packs}
            assert [row["step"] for row in history] == [0, 10, 20] * 6

    def test_a_pack_counts_once_its_members_are_in_place_and_never_without_a_history(
        self, tmp_path, make_space, train, monkeypatch
    ):
        """The disk fills up before the first file, then between the two files of a pack."""
        with reopened(tmp_path / "run", make_space()) as directory:
            for files in (0, 1):
                left = files

                def write(table, path, real=run_directory.write_table):
                    nonlocal left
                    if left == 0:
                        raise TableError(f"cannot write {path}: No space left on device")
                    left -= 1
                    real(table, path)

                monkeypatch.setattr(run_directory, "write_table", write)
                with pytest.raises(
                    SweepError, match=r"could not be written.*No space left.*same command again"
                ):
                    train(directory, points(0))
                monkeypatch.undo()
                assert directory.members == {}
                assert list((tmp_path / "run" / "fragments").glob("*.members.parquet")) == []
        with reopened(tmp_path / "run", make_space()) as directory:
            assert directory.members == {}
            train(directory, points(0))
            _, history, _ = write_tables(directory, make_space())
            assert history.num_rows == 9, "the history of the pack that was cut off is replaced"

    @pytest.fixture
    def merged(self, monkeypatch):
        """Let three packs be many."""
        monkeypatch.setattr(run_directory, "MERGED_PACKS", 3)

    @pytest.fixture
    def expected(self, tmp_path, make_space, train):
        """Return the tables of seven packs whose fragments stay what they are."""
        with reopened(tmp_path / "loose", make_space()) as directory:
            for seed in range(7):
                train(directory, points(seed))
            return [without_times(table) for table in self.tables(directory, make_space())]

    @staticmethod
    def tables(directory, space):
        members, history, _ = write_tables(directory, space)
        return members, history.append_column("finished_at", pa.nulls(len(history)))

    @staticmethod
    def fragments(path):
        names = [file.name.partition(".")[0] for file in (path / "fragments").glob("*.members.parquet")]
        return sorted(name.startswith("merged-") for name in names)

    def test_fragments_of_many_packs_become_one(self, tmp_path, make_space, train, expected, merged):
        path, space = tmp_path / "run", make_space()
        with reopened(path, space) as directory:
            for seed in range(7):
                train(directory, points(seed))
            assert self.fragments(path) == [False, True, True]
            assert [without_times(table) for table in self.tables(directory, space)] == expected
        with reopened(path, space) as directory:
            assert [without_times(table) for table in self.tables(directory, space)] == expected
            for seed in (7, 8):
                train(directory, points(seed))
            assert self.fragments(path) == [True, True, True], "what was there counts too"

    @pytest.mark.parametrize("left", ["both", "histories"])
    def test_a_kill_while_fragments_become_one_loses_and_doubles_nothing(
        self, tmp_path, make_space, train, expected, merged, left
    ):
        path, space = tmp_path / "run", make_space()
        with reopened(path, space) as directory:
            for seed in (0, 1):
                train(directory, points(seed))
            before = {file: file.read_bytes() for file in (path / "fragments").iterdir()}
            for seed in range(2, 7):
                train(directory, points(seed))
        for file, content in before.items():
            if left == "both" or ".history." in file.name:
                file.write_bytes(content)
        with reopened(path, space) as directory:
            assert [without_times(table) for table in self.tables(directory, space)] == expected
            assert self.fragments(path) == [False, True, True]

    def test_fragments_stay_where_there_is_no_room_for_one(
        self, tmp_path, make_space, train, expected, merged, monkeypatch
    ):
        path, space = tmp_path / "run", make_space()

        def write(table, file, real=run_directory.write_table):
            if file.name.startswith("merged-") and ".members." in file.name:
                raise TableError(f"cannot write {file}: No space left on device")
            real(table, file)

        monkeypatch.setattr(run_directory, "write_table", write)
        with reopened(path, space) as directory:
            for seed in range(7):
                train(directory, points(seed))
            assert self.fragments(path) == [False] * 7
            assert [without_times(table) for table in self.tables(directory, space)] == expected
        monkeypatch.undo()
        with reopened(path, space) as directory:
            assert [without_times(table) for table in self.tables(directory, space)] == expected

    def test_a_history_without_its_members_is_no_part_of_the_tables(self, tmp_path, make_space, train):
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
            cut_off = train(directory, points(1))
        (tmp_path / "run" / "fragments" / f"{cut_off.pack_id}.members.parquet").unlink()
        with reopened(tmp_path / "run", make_space()) as directory:
            members, history, _ = write_tables(directory, make_space())
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
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
        target = tmp_path / "run" / "fragments" / "0123456789abcdef.members.parquet"
        done = subprocess.run(
            [sys.executable, "-c", code, str(target)], env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        assert done.returncode == -signal.SIGKILL
        strays = [path for path in target.parent.iterdir() if path.name.startswith(".")]
        assert len(strays) == 1, "the kill came while the file was written aside"
        assert not target.exists()
        with reopened(tmp_path / "run", make_space()) as directory:
            assert len(directory.members) == 3
            assert write_tables(directory, make_space())[0].num_rows == 3

    @pytest.mark.parametrize("kind", ["members", "history"])
    @pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
    def test_a_pack_with_a_cut_fragment_is_set_aside_and_trained_anew(
        self, tmp_path, make_space, train, kind, damage
    ):
        with reopened(tmp_path / "run", make_space()) as directory:
            cut = train(directory, points(0))
            train(directory, points(1))
        path = tmp_path / "run" / "fragments" / f"{cut.pack_id}.{kind}.parquet"
        whole = path.read_bytes()
        path.unlink()
        if damage != "missing":
            path.write_bytes(whole[:1000] if damage == "truncated" else b"")
        with reopened(tmp_path / "run", make_space()) as directory:
            assert {row["seed"] for row in directory.members.values()} == {1}
            if (kind, damage) != ("members", "missing"):
                (notice,) = directory.notices
                assert path.name in notice
                assert "trained anew" in notice
                assert len(list(path.parent.glob("*.bad"))) == (1 if damage == "missing" else 2)
            train(directory, points(0))
            assert write_tables(directory, make_space())[1].num_rows == 18

    def test_a_directory_that_is_moved_meanwhile_keeps_all_results(self, tmp_path, make_space, train):
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
            (tmp_path / "run").rename(tmp_path / "moved")
            train(directory, points(1))
            write_tables(directory, make_space())
        assert [path.name for path in tmp_path.iterdir()] == ["moved"]
        assert read_members(tmp_path / "moved").num_rows == 6
        with reopened(tmp_path / "moved", make_space()) as directory:
            assert len(directory.members) == 6

    def test_a_history_of_another_fragment_is_set_aside(self, tmp_path, make_space, train):
        """Under this name its own is lost, and its rows would count twice."""
        run, space = tmp_path / "run", make_space()
        with reopened(run, space) as directory:
            one, other = train(directory, points(0)), train(directory, points(1))
        path = run / "fragments" / f"{other.pack_id}.history.parquet"
        shutil.copy(run / "fragments" / f"{one.pack_id}.history.parquet", path)
        with reopened(run, space) as directory:
            assert directory.notices == [
                f"{path.name} cut, changed or missing, and set aside as .bad; members that no other fragment "
                "has are trained anew"
            ]
            assert {row["seed"] for row in directory.members.values()} == {0}

    @pytest.mark.parametrize("name", ["costs.parquet", "fragments/0123.failed.parquet"])
    def test_what_is_derived_anew_is_set_aside_and_named(self, tmp_path, make_space, train, name):
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
        path = tmp_path / "run" / name
        path.write_bytes(b"PAR1 cut off PAR1")
        with reopened(tmp_path / "run", make_space()) as directory:
            (notice,) = directory.notices
            assert notice.startswith(f"{path.name} cut, changed or missing, and set aside as .bad; ")
            assert len(directory.members) == 3
        assert (path.exists(), path.with_name(f"{path.name}.bad").exists()) == (False, True)

    @pytest.mark.parametrize("kind", ["members", "history"])
    def test_a_fragment_of_another_schema_is_named(self, tmp_path, make_space, train, kind):
        """It is whole, so that it is no accident: whoever put it there decides."""
        with reopened(tmp_path / "run", make_space()) as directory:
            pack = train(directory, points(0))
        path = tmp_path / "run" / "fragments" / f"{pack.pack_id}.{kind}.parquet"
        run_directory.write_table(THRESHOLDS.empty_table(), path)

        def read():
            with reopened(tmp_path / "run", make_space()) as directory:
                write_tables(directory, make_space())

        with pytest.raises(SweepError, match=rf"(?s){path} cannot be .* is a thresholds table.*delete"):
            read()

    def test_what_a_killed_writer_left_aside_is_removed_and_nothing_of_others(
        self, tmp_path, make_space, train
    ):
        run = tmp_path / "run"
        with reopened(run, make_space()) as directory:
            train(directory, points(0))
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
        with reopened(run, make_space()) as directory:
            assert [name for name in left if (run / name).exists()] == []
            assert [name for name in others if not (run / name).exists()] == []
            assert len(directory.members) == 3

    def test_a_flipped_bit_anywhere_never_gives_another_number(self, tmp_path, make_space, train):
        """What is changed is named, and set aside or refused."""
        run, space = tmp_path / "run", make_space()
        with reopened(run, space) as directory:
            train(directory, points(0))
            rows = directory.rows()
        for file in (*(run / "fragments").iterdir(), run / "space.yaml"):
            whole = file.read_bytes()
            for place in range(0, len(whole), len(whole) // 6):
                file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
                directory, refused = RunDirectory(run), contextlib.nullcontext()
                if file.name == "space.yaml":
                    refused = pytest.raises(TableError, match=rf"{file} cannot be used")
                with refused, directory.held(space):
                    assert directory.rows() == (rows if not directory.notices else ([], []))
                    assert all(file.name in notice for notice in directory.notices)
            file.write_bytes(whole)

    def test_cut_settings_are_refused(self, tmp_path, make_space):
        """Keys at the end of the file say how thresholds are found."""
        path = tmp_path / "run" / "space.yaml"
        with reopened(path.parent, make_space()):
            whole = path.read_bytes()
        for size in range(whole.index(b"search"), len(whole), 50):
            path.write_bytes(whole[:size])
            with pytest.raises(TableError, match=r"space\.yaml cannot be used"):
                read_settings(path.parent)

    def test_a_refused_sweep_leaves_no_directory_behind(self, tmp_path, make_space, train):
        def refused(path):
            with pytest.raises(SweepError, match="no"), reopened(path, make_space()):
                raise SweepError("no")

        refused(tmp_path / "deep" / "run")
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "mine").mkdir()
        refused(tmp_path / "mine" / "run")
        assert list((tmp_path / "mine").iterdir()) == []
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
        refused(tmp_path / "run")
        with reopened(tmp_path / "run", make_space()) as directory:
            assert len(directory.members) == 3

    def test_a_refused_sweep_changes_nothing(self, tmp_path, make_space, train):
        """Before it begins it only looks, also where it finds what is to be set aside."""
        run, space = tmp_path / "run", make_space()
        with reopened(run, space) as directory:
            cut = train(directory, points(0))
            train(directory, points(1))
        (run / "fragments" / f"{cut.pack_id}.history.parquet").write_bytes(b"cut")
        (run / "fragments" / ".0123.members.parquet.999999.tmp").touch()
        (run / ".lock").unlink()
        (tmp_path / "mine").mkdir()
        before = snapshot(tmp_path)
        for path in (run, tmp_path / "mine", tmp_path / "deep" / "new"):
            directory = RunDirectory(path)
            with pytest.raises(SweepError, match="no"), directory.held(make_space(confidence=0.5)):
                raise SweepError("no")
        assert snapshot(tmp_path) == before
        with reopened(run, space):
            assert (run / "fragments" / f"{cut.pack_id}.history.parquet.bad").read_bytes() == b"cut"

    @pytest.mark.parametrize("named", [True, False])
    def test_a_log_that_a_refusal_names_stays(self, tmp_path, make_space, named):
        log = tmp_path / "run" / "sweep.log"
        with pytest.raises(SweepError, match="no"), reopened(tmp_path / "run", make_space()) as directory:
            directory.note("why")
            raise SweepError(f"no; see {log if named else 'elsewhere'}")
        assert snapshot(tmp_path) == ({"run": None, "run/sweep.log": b"why\n"} if named else {})

    def test_a_finished_pack_needs_no_checkpoint_any_more(self, tmp_path, make_space, plan_cells, train):
        with reopened(tmp_path / "run", make_space()) as directory:
            pack = Pack(plan_cells(make_space())[0], tuple(points(0)))
            checkpoint = directory.checkpoints / f"{pack.pack_id}.pt"
            checkpoint.write_bytes(b"state")
            train(directory, points(0))
            assert not checkpoint.exists()


class TestRepeated:
    """A member in two fragments, as where those of two copies of a run are put together."""

    @pytest.fixture
    def run(self, tmp_path, make_space, train) -> Path:
        """Return a run of two packs, of which the first is there under another name too."""
        path = tmp_path / "run"
        with reopened(path, make_space()) as directory:
            self.pack = train(directory, points(0))
            train(directory, points(1))
        self.copy(path, self.pack.pack_id, "0000000000000000")
        return path

    @staticmethod
    def copy(path: Path, source: str, target: str) -> None:
        for kind in ("members", "history"):
            content = (path / "fragments" / f"{source}.{kind}.parquet").read_bytes()
            (path / "fragments" / f"{target}.{kind}.parquet").write_bytes(content)

    def test_of_two_with_the_same_results_one_is_kept(self, run, make_space):
        for _ in range(2):
            with reopened(run, make_space()) as directory:
                members, history, _ = write_tables(directory, make_space())
                assert (members.num_rows, history.num_rows) == (6, 18)
                assert directory.pack(self.pack.pack_id)[0]
            assert len(list((run / "fragments").glob("*.members.parquet"))) == 3, (
                "who copied it may remove it"
            )

    def test_a_copy_that_is_named_as_no_fragment_is_left_alone(self, run, make_space):
        self.copy(run, self.pack.pack_id, f"{self.pack.pack_id}.before")
        (run / "fragments" / "mine.before.members.parquet").write_text("mine")
        before = snapshot(run / "fragments")
        with reopened(run, make_space()) as directory:
            assert len(directory.members) == 6
            assert directory.notices == []
        assert snapshot(run / "fragments") == before

    def test_a_fragment_that_has_more_gives_what_is_new(self, run, make_space, plan_cells, result_of):
        """Members that were packed otherwise, at another time."""
        (run / "fragments" / "0000000000000000.members.parquet").unlink()
        with reopened(run.with_name("other"), make_space()) as directory:
            pack = Pack(plan_cells(make_space())[0], (Point(0.5, 0), Point(0.6, 0)))
            directory.add(pack.pack_id, rows.trained("made", pack, result_of(pack, kl_top)))
        for file in (run.with_name("other") / "fragments").iterdir():
            file.rename(run / "fragments" / file.name)
        for _ in range(2):
            with reopened(run, make_space()) as directory:
                members, history, _ = write_tables(directory, make_space())
            assert (members.num_rows, history.num_rows) == (7, 21)

    def test_of_two_with_different_results_both_are_named(self, run, make_space):
        file = run / "fragments" / "0000000000000000.members.parquet"
        table = read_table(file, MEMBERS)
        other = pa.array([1.5, *table["elbo_nats"].to_pylist()[1:]])
        index = table.schema.get_field_index("elbo_nats")
        run_directory.write_table(table.set_column(index, table.schema.field(index), other), file)
        before = snapshot(run)
        names = f"0000000000000000.members.parquet and {self.pack.pack_id}.members.parquet"
        said = rf"{names} hold member \w+ .*\(elbo_nats '1.5' and '-20.0'\).*move"
        with pytest.raises(SweepError, match=said), reopened(run, make_space()):
            pass
        assert snapshot(run) == before


class TestTables:
    def test_they_do_not_depend_on_the_order_in_which_packs_finish(
        self, tmp_path, make_space, plan_cells, train
    ):
        space = make_space(latents=[[8, 8], [4, 4]])
        tables = []
        for name, reverse in (("one", False), ("other", True)):
            with reopened(tmp_path / name, space) as directory:
                work = [(cell, points(seed)) for cell in plan_cells(space) for seed in (0, 1)]
                for cell, own in reversed(work) if reverse else work:
                    train(directory, own, space, cell)
                tables.append(write_tables(directory, space))
        (members, history, thresholds), other = tables
        assert without_times(members) == without_times(other[0])
        assert history.equals(other[1])
        assert thresholds.equals(other[2])
        keys = [(row["latents"], row["seed"], row["rho"]) for row in members.to_pylist()]
        assert keys == [
            (latents, seed, rho) for latents in ([8, 8], [4, 4]) for seed in (0, 1) for rho in RHOS
        ]

    def test_they_are_files_of_the_schemas(self, tmp_path, make_space, train):
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
            members, history, thresholds = write_tables(directory, make_space())
        assert read_members(tmp_path / "run").equals(members)
        assert read_history(tmp_path / "run").equals(history)
        for table, schema in ((members, MEMBERS), (history, HISTORY), (thresholds, THRESHOLDS)):
            assert table.schema.equals(schema, check_metadata=True)

    def test_the_threshold_is_the_spaces_current_one(self, tmp_path, make_space, train):
        """A member is the same whatever counts as collapsed: thresholds follow the last run."""
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
            low = write_tables(directory, make_space())[2].to_pylist()[0]
        space = make_space(active_from={"kl_top": 0.3})
        with reopened(tmp_path / "run", space) as directory:
            _, _, thresholds = write_tables(directory, space)
        assert set(thresholds["active_from"].to_pylist()) == {0.3}
        high = thresholds.to_pylist()[0]
        ends = [(row["seeds"][0]["rho_low"], row["seeds"][0]["rho_high"]) for row in (low, high)]
        assert ends == [(0.75, 1.0), (0.5, 0.75)]

    def test_cells_that_differ_in_any_key_have_names_of_their_own(
        self, tmp_path, make_space, plan_cells, train
    ):
        """Also where the second came later, when the first was written already."""
        alone = make_space(learning_rate=0.001)
        both = make_space(variants="[{learning_rate: 0.001}, {learning_rate: 0.01}]")
        with reopened(tmp_path / "run", both) as directory:
            train(directory, points(0), alone, plan_cells(alone)[0])
            train(directory, points(0), both, plan_cells(both)[1])
            members, _, thresholds = write_tables(directory, both)
        assert list(dict.fromkeys(thresholds["cell"].to_pylist())) == [
            "digits mlp 4,4 learning_rate 0.001",
            "digits mlp 4,4 learning_rate 0.01",
        ]
        assert list(dict.fromkeys(thresholds["learning_rate"].to_pylist())) == [0.001, 0.01]
        assert set(members["cell"].to_pylist()) == set(thresholds["cell"].to_pylist())


class TestClaim:
    def test_it_belongs_to_one_space(self, tmp_path, make_space):
        with reopened(tmp_path / "run", make_space()):
            pass
        other = make_space(name="other", steps=30, ou_samples=2)
        with pytest.raises(SweepError) as caught, reopened(tmp_path / "run", other):
            pass
        message = str(caught.value)
        assert str(tmp_path / "run") in message
        for line in (
            "name: 'made' there, 'other' now",
            "steps: 20 there, 30 now",
            "ou_samples: 5 there, 2 now",
        ):
            assert line in message
        assert "--out" in message
        with reopened(tmp_path / "run", make_space()):
            """A refusal leaves the directory to its space."""

    @pytest.mark.parametrize(
        "change",
        [
            {"seeds": 5},
            {"latents": [[4, 4], [8, 8]]},
            {"rho": [0.5, 0.6, 1.0]},
            {"search": "refine", "rho_tolerance": 0.1},
            {"active_from": {"kl_top": 0.2}, "confidence": 0.9, "pack_size": 2, "checkpoint_minutes": 0},
        ],
    )
    def test_it_takes_more_of_the_same(self, tmp_path, make_space, train, change):
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
        with reopened(tmp_path / "run", make_space(**change)) as directory:
            assert len(directory.members) == 3

    @pytest.mark.parametrize(
        ("key", "value"), [("device", "cuda"), ("data_digest", "other"), ("code_digest", "c0de")]
    )
    def test_it_does_not_mix_devices_data_or_code(self, tmp_path, make_space, plan_cells, train, key, value):
        own = plan_cells(make_space())
        other = [dataclasses.replace(cell, **{key: value}) for cell in own]
        with reopened(tmp_path / "run", make_space()) as directory:
            directory.require_like(other)
            train(directory, points(0))
            directory.require_like(own)
            held = getattr(own[0], key)
            with pytest.raises(SweepError, match=f"members with {key} {held}, this sweep has {value}"):
                directory.require_like(other)

    def test_a_copy_is_a_sweep_of_its_own_and_says_so(self, tmp_path, make_space, train):
        with reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        with reopened(tmp_path / "copy", make_space()) as copy:
            assert copy.sweep_id != directory.sweep_id
            assert copy.notices == [
                f"{tmp_path}/copy is a copy of {tmp_path}/run: it gets a sweep of its own in MLflow"
            ]
            assert copy.members.keys() == directory.members.keys()

    @pytest.mark.parametrize("text", ["[", "", "- a list\n"])
    def test_a_spoilt_space_file_is_named(self, tmp_path, make_space, text):
        with reopened(tmp_path / "run", make_space()):
            pass
        (tmp_path / "run" / "space.yaml").write_text(text)
        with (
            pytest.raises(SweepError, match=r"(?s)run/space\.yaml .*delete it"),
            reopened(tmp_path / "run", make_space()),
        ):
            pass


class TestHold:
    HOLDER = """
import sys, time
from pathlib import Path
from search_spaces import load
from sweeps import SweepError
from sweeps.record.run_directory import RunDirectory
directory = RunDirectory(Path(sys.argv[1]))
try:
    with directory.opened(load("digits")):
        print("held", flush=True)
        time.sleep(600)
except SweepError as error:
    print(error, flush=True)
"""

    def holder(self, path: Path) -> subprocess.Popen:
        command = [sys.executable, "-c", self.HOLDER, str(path)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)

    @pytest.mark.process
    def test_one_driver_at_a_time_and_a_kill_lets_go(self, tmp_path):
        with self.holder(tmp_path / "run") as first:
            try:
                assert first.stdout.readline() == "held\n"
                with self.holder(tmp_path / "run") as second:
                    refusal, _ = second.communicate(timeout=300)
                assert f"{tmp_path / 'run'} is in use by another sweep" in refusal
                first.kill()
                first.wait(timeout=300)
                with self.holder(tmp_path / "run") as third:
                    assert third.stdout.readline() == "held\n"
                    third.kill()
            finally:
                first.kill()

    def test_a_driver_that_is_refused_leaves_the_directory_to_the_other(
        self, tmp_path, make_space, monkeypatch
    ):
        """The other one makes it while this one is about to."""
        run, first, real = tmp_path / "run", RunDirectory(tmp_path / "run"), os.mkdir
        with contextlib.ExitStack() as stack:

            def mkdir(path, *rest, **more):
                if os.fspath(path) == str(run) and not run.exists():
                    monkeypatch.undo()
                    stack.enter_context(first.opened(make_space()))
                return real(path, *rest, **more)

            monkeypatch.setattr(os, "mkdir", mkdir)
            with pytest.raises(SweepError, match="in use by another sweep"), reopened(run, make_space()):
                pass
            assert {path.name for path in run.iterdir()} >= {".lock", "space.yaml", ".sweep_id", "fragments"}

    def test_a_lock_that_was_removed_meanwhile_is_not_held(self, tmp_path, make_space, monkeypatch):
        """Its holder was refused, removed all that it had made, and let go."""
        run, real = tmp_path / "run", fcntl.flock

        def flock(*arguments):
            monkeypatch.undo()
            (run / ".lock").unlink()
            return real(*arguments)

        monkeypatch.setattr(fcntl, "flock", flock)
        with reopened(run, make_space()), (run / ".lock").open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestFileSystems:
    """What the file system of a run lacks is done without, and said."""

    @staticmethod
    def refusing(number: int) -> Callable[..., NoReturn]:
        def refuse(*arguments):
            raise OSError(number, os.strerror(number))

        return refuse

    def notices(self, run: Path, space: Space, train) -> list[str]:
        """Train a pack in a run, and another one later; return what was said of the file system each time."""
        said = []
        for seed in range(2):
            with reopened(run, space) as directory:
                train(directory, points(seed))
                said.append(directory.notices)
        assert len(directory.members) == 6
        assert said[0] == said[1]
        return said[0]

    def test_all_is_there(self, tmp_path, make_space, train):
        assert self.notices(tmp_path / "run", make_space(), train) == []

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EINVAL, errno.EOPNOTSUPP])
    def test_no_locks(self, tmp_path, make_space, train, monkeypatch, number):
        monkeypatch.setattr(fcntl, "flock", self.refusing(number))
        assert self.notices(tmp_path / "run", make_space(), train) == [
            f"the file system of {tmp_path / 'run'} has no locks: run one command at a time there, for a "
            "second one goes unnoticed"
        ]

    @pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP])
    def test_no_syncs(self, tmp_path, make_space, train, monkeypatch, number):
        monkeypatch.setattr(os, "fsync", self.refusing(number))
        assert self.notices(tmp_path / "run", make_space(), train) == [
            f"the file system of {tmp_path / 'run'} does not sync files on request: run the same command "
            "again after a power cut, which may cost the last packs"
        ]

    def test_no_room_by_request(self, tmp_path, make_space, monkeypatch):
        monkeypatch.setattr(os, "posix_fallocate", self.refusing(errno.EOPNOTSUPP))
        with reopened(tmp_path / "run", make_space()):
            assert (tmp_path / "run" / ".reserve").stat().st_size == 8_000_000

    def test_no_inode_numbers_that_last(self, tmp_path, make_space, train, monkeypatch):
        monkeypatch.setattr(os.path, "samestat", lambda one, other: False)
        assert self.notices(tmp_path / "run", make_space(), train) == []

    def test_no_word_of_its_size(self, tmp_path, make_space, train, monkeypatch):
        monkeypatch.setattr(
            os, "statvfs", lambda path: SimpleNamespace(f_blocks=0, f_bavail=0, f_frsize=4096)
        )
        assert self.notices(tmp_path / "run", make_space(), train) == []

    def test_a_path_without_room_for_the_files_in_it(self, tmp_path, make_space):
        run = tmp_path.joinpath(*["x" * 200] * 19, "x" * 100)
        said = r"cannot write to the output directory .* its path has \d+ bytes, of at most 3896"
        with pytest.raises(SweepError, match=said), reopened(run, make_space()):
            pass
        assert list(tmp_path.iterdir()) == []


class TestWriting:
    @pytest.mark.parametrize("name", ["fragments", "figures", "sweep.log", "studies.log", "members.parquet"])
    def test_a_file_for_a_folder_or_a_folder_for_a_file(self, tmp_path, make_space, name):
        (tmp_path / "run").mkdir()
        path = tmp_path / "run" / name
        path.mkdir() if path.suffix else path.touch()
        with pytest.raises(SweepError, match=name), reopened(tmp_path / "run", make_space()):
            pass
        assert list((tmp_path / "run").iterdir()) == [path]

    @pytest.mark.parametrize(
        "name", [".lock", ".sweep_id", ".reserve", "space.yaml", "fragments/a.failed.parquet", "sweep.log"]
    )
    def test_a_pipe_for_a_file_is_refused_and_not_waited_for(self, tmp_path, make_space, name):
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True)
        os.mkfifo(path)
        with pytest.raises(SweepError, match=f"{name} is no file"), reopened(tmp_path / "run", make_space()):
            pass

    @pytest.mark.parametrize("inside", ["file/run", "file"])
    def test_a_path_where_no_directory_can_be(self, tmp_path, make_space, inside):
        (tmp_path / "file").write_text("")
        with (
            pytest.raises(SweepError, match=f"cannot write to the output directory {tmp_path / inside}"),
            reopened(tmp_path / inside, make_space()),
        ):
            pass

    def test_a_read_only_file_system(self, make_space):
        with (
            pytest.raises(SweepError, match="cannot write to the output directory /proc/run"),
            reopened(Path("/proc/run"), make_space()),
        ):
            pass

    def test_too_little_room_to_start(self, tmp_path, make_space, monkeypatch):
        monkeypatch.setattr(run_directory, "LEAST_FREE_BYTES", 2**62)
        with (
            pytest.raises(SweepError, match=r"only \d+ MB free; free some space"),
            reopened(tmp_path / "run", make_space()),
        ):
            pass

    def test_no_more_files(self, disk_of, make_space, train, monkeypatch):
        """Where bytes are free, files are kept for the finished pack and the tables."""
        monkeypatch.setattr(run_directory, "LEAST_FREE_BYTES", 0)
        disk = disk_of("32m,nr_inodes=60")
        with reopened(disk / "run", make_space()) as directory:
            train(directory, points(0))
            with contextlib.suppress(OSError):
                for number in range(60):
                    (disk / f"filler.{number}").touch()
            with pytest.raises(DiskFullError, match=r"disk is full.*No space left on device"):
                train(directory, points(1))
            assert write_tables(directory, make_space())[0].num_rows == 6
        for filler in disk.glob("filler.*"):
            filler.unlink()
        with reopened(disk / "run", make_space()) as directory:
            assert len(directory.members) == 6

    def test_a_folder_that_becomes_read_only_is_one_error(self, tmp_path, make_space, train, monkeypatch):
        """Nothing that is cleaned up afterwards hides it, and it says nothing of a full disk."""

        def refuse(*arguments, **more):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        said = r"could not be written.*Read-only file system; make .*run writable"
        with pytest.raises(SweepError, match=said), reopened(tmp_path / "run", make_space()) as directory:
            train(directory, points(0))
            for name in ("replace", "unlink", "rename"):
                monkeypatch.setattr(os, name, refuse)
            directory.drop_checkpoint("0123")
            directory.note("goes on")
            train(directory, points(1))

    def test_a_disk_that_fills_up_after_the_last_pack(self, disk_of, make_space, train, monkeypatch):
        monkeypatch.setattr(run_directory, "LEAST_FREE_BYTES", 0)
        disk = disk_of("12m")
        with reopened(disk / "run", make_space()) as directory:
            train(directory, points(0))
            fill(disk / "filler")
            assert write_tables(directory, make_space())[0].num_rows == 3

    def test_a_disk_that_fills_up(self, disk_of, make_space, train, monkeypatch):
        """A real one: the finished pack and the tables go into the room that was kept for them."""
        monkeypatch.setattr(run_directory, "LEAST_FREE_BYTES", 0)
        disk = disk_of("12m")
        path = disk / "run"
        with reopened(path, make_space()) as directory:
            train(directory, points(0))
            fill(disk / "filler")
            with pytest.raises(
                DiskFullError, match=r"disk is full.*No space left on device.*make room in .*run"
            ):
                train(directory, points(1))
            assert write_tables(directory, make_space())[0].num_rows == 6
            fill(disk / "more")
            with pytest.raises(SweepError, match=r"could not be written.*No space left on device"):
                train(directory, points(2))
            with pytest.raises(TableError, match="No space left on device"):
                write_tables(directory, make_space())
        for name in ("filler", "more"):
            (disk / name).unlink()
        with reopened(path, make_space()) as directory:
            assert len(directory.members) == 6
            train(directory, points(2))
            assert write_tables(directory, make_space())[0].num_rows == 9
