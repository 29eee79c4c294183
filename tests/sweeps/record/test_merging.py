"""Members of other runs join a run: all of them, once, and only where they fit."""

import pytest

from analysis.tables.files import read_members
from sweeps import SweepError, merge
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack
from sweeps.record import merging
from tests.sweeps.conftest import held, opened, write_tables
from tests.sweeps.record.conftest import kl_top, points, snapshot, without_times


@pytest.fixture
def run(tmp_path, make_space, train):
    """Return a function that makes a run with these seeds and returns its folder."""

    def make(name, *seeds, **keys):
        space = make_space(save_weights="last", **keys)
        with opened(tmp_path / name, space) as ledger:
            for seed in seeds:
                pack = train(ledger, points(seed), space)
                ledger.run.weights_of(pack.pack_id).write_bytes(b"weights of %d" % seed)
            write_tables(ledger, space)
        return tmp_path / name

    return make


def test_the_tables_become_those_of_one_run_and_the_others_stay(run):
    together = run("together", 0, 1, 2, 3, seeds=4)
    first = run("first", 0)
    others = [run("second", 1, 2), run("third", 2, 3, seeds=4)]
    before = [snapshot(other) for other in others]
    assert merging.merge(first, others) == [
        merging.Joined(others[0], new=6, known=0),
        merging.Joined(others[1], new=3, known=3),
    ]
    assert without_times(read_members(first)) == without_times(read_members(together))
    assert [snapshot(other) for other in others] == before
    weights = {path.name: path.read_bytes() for path in (together / "weights").iterdir()}
    assert {path.name: path.read_bytes() for path in (first / "weights").iterdir()} == weights
    assert [joined.new for joined in merging.merge(first, others)] == [0, 0]


def test_a_merged_run_goes_on(run, make_space, train):
    first = run("first", 0)
    merging.merge(first, [run("second", 1)])
    with opened(first, make_space(seeds=3)) as ledger:
        assert len(ledger.members) == 6
        train(ledger, points(2))
    with held(first, make_space()) as ledger:
        assert len(ledger.members) == 9


def test_a_merge_that_was_killed_goes_on(run, monkeypatch):
    first, second, third = run("first", 0), run("second", 1), run("third", 2)
    write_tables = merging.write_tables
    monkeypatch.setattr(merging, "write_tables", lambda *_: pytest.fail("killed"))
    with pytest.raises(pytest.fail.Exception):
        merging.merge(first, [second])
    monkeypatch.setattr(merging, "write_tables", write_tables)
    assert [joined.new for joined in merging.merge(first, [second, third])] == [0, 3]
    assert len(read_members(first)) == 9


def test_a_member_of_both_stays_as_it_is(run, tmp_path, make_space, plan_cells, result_of):
    """Another kind of CPU gives other last digits."""
    first = run("first", 0)
    with opened(tmp_path / "second", make_space()) as ledger:
        pack = Pack(plan_cells(make_space())[0], tuple(points(0)))
        ledger.add(pack, result_of(pack, lambda point: kl_top(point) * (1 + 1e-12)))
    before = read_members(first)["kl_top_nats"]
    assert merging.merge(first, [tmp_path / "second"]) == [merging.Joined(tmp_path / "second", 0, 3)]
    assert read_members(first)["kl_top_nats"] == before


class TestRefuses:
    @pytest.fixture(autouse=True)
    def unchanged(self, run, tmp_path):
        """Look that nothing has changed."""
        self.first = run("first", 0)
        before = snapshot(self.first)
        yield
        assert snapshot(self.first) == before

    def test_a_folder_that_is_no_run(self, tmp_path):
        with pytest.raises(SweepError, match=r"nowhere holds no run.*give the folder that a sweep wrote"):
            merging.merge(self.first, [tmp_path / "nowhere"])
        assert not (tmp_path / "nowhere").exists()
        with pytest.raises(SweepError, match="nowhere holds no run"):
            merging.merge(tmp_path / "nowhere", [self.first])
        assert not (tmp_path / "nowhere").exists()

    def test_another_space(self, run):
        with pytest.raises(SweepError, match=r"another space\n  batch_size: 50 there, 100 now\n"):
            merging.merge(self.first, [run("second", 1, batch_size=50)])

    def test_itself_and_a_run_in_use(self, run, make_space):
        with pytest.raises(SweepError, match="first is the run itself"):
            merging.merge(self.first, [self.first])
        second = run("second", 1)
        with held(second, make_space()), pytest.raises(SweepError, match="second is in use"):
            merging.merge(self.first, [second])

    def test_damaged_files(self, run):
        second = run("second", 1)
        (path,) = second.glob("fragments/*.members.parquet")
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
        before = snapshot(second)
        with pytest.raises(SweepError, match=r"second has damaged files: .*Run its sweep again"):
            merging.merge(self.first, [second])
        assert snapshot(second) == before

    @pytest.mark.parametrize(
        ("keys", "conflict"),
        [
            ({"device": "cuda"}, "device: cuda there, cpu here"),
            ({"data_digest": "0ther"}, "data_digest of digits: 0ther there, d1g357 here"),
        ],
    )
    def test_members_of_another_device_or_of_other_data(
        self, tmp_path, make_space, plan_cells, train, keys, conflict
    ):
        with opened(tmp_path / "second", make_space()) as ledger:
            train(ledger, [Point(0.5, 1)], cell=plan_cells(make_space(), **keys)[0])
        with pytest.raises(SweepError, match=f"does not fit into .*first.*\n  {conflict}"):
            merging.merge(self.first, [tmp_path / "second"])


class TestCommand:
    def test_tables_figures_and_report_are_written(self, run, capsys):
        first, second = run("first", 0), run("second", 1)
        assert merge.main([str(first), str(second)]) == 0
        assert capsys.readouterr().out.startswith(f"3 members of {second} joined {first}\n")
        assert len(read_members(first)) == 6
        assert (first / "report.html").is_file()
        assert (first / "figures" / "order_parameters.svg").is_file()

    def test_what_does_not_fit_is_one_error(self, run, capsys):
        assert merge.main([str(run("first", 0)), "nowhere"]) == 2
        assert capsys.readouterr().err.startswith("error: nowhere holds no run")
