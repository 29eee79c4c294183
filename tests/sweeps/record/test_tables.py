"""The tables of a run follow from its fragments and its space only."""

from analysis.tables.files import read_history, read_members
from analysis.tables.schema import HISTORY, MEMBERS, THRESHOLDS
from tests.sweeps.conftest import opened, write_tables
from tests.sweeps.record.conftest import RHOS, points, without_times


class TestTables:
    def test_they_do_not_depend_on_the_order_in_which_packs_finish(
        self, tmp_path, make_space, plan_cells, train
    ):
        space = make_space(latents=[[8, 8], [4, 4]])
        tables = []
        for name, reverse in (("one", False), ("other", True)):
            with opened(tmp_path / name, space) as ledger:
                work = [(cell, points(seed)) for cell in plan_cells(space) for seed in (0, 1)]
                for cell, of_seed in reversed(work) if reverse else work:
                    train(ledger, of_seed, space, cell)
                tables.append(write_tables(ledger, space))
        (members, history, thresholds), other = tables
        assert without_times(members) == without_times(other[0])
        assert history.equals(other[1])
        assert thresholds.equals(other[2])
        keys = [(row["latents"], row["seed"], row["rho"]) for row in members.to_pylist()]
        assert keys == [
            (latents, seed, rho) for latents in ([8, 8], [4, 4]) for seed in (0, 1) for rho in RHOS
        ]

    def test_they_are_files_of_the_schemas(self, tmp_path, make_space, train):
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
            members, history, thresholds = write_tables(ledger, make_space())
        assert read_members(tmp_path / "run").equals(members)
        assert read_history(tmp_path / "run").equals(history)
        for table, schema in ((members, MEMBERS), (history, HISTORY), (thresholds, THRESHOLDS)):
            assert table.schema.equals(schema, check_metadata=True)

    def test_the_threshold_is_the_spaces_current_one(self, tmp_path, make_space, train):
        """A member is the same whatever counts as collapsed: thresholds follow the last run."""
        with opened(tmp_path / "run", make_space()) as ledger:
            train(ledger, points(0))
            low = write_tables(ledger, make_space())[2].to_pylist()[0]
        space = make_space(active_from={"kl_top": 0.3})
        with opened(tmp_path / "run", space) as ledger:
            _, _, thresholds = write_tables(ledger, space)
        assert set(thresholds["active_from"].to_pylist()) == {0.3}
        high = thresholds.to_pylist()[0]
        ends = [(row["seeds"][0]["low"], row["seeds"][0]["high"]) for row in (low, high)]
        assert ends == [(0.75, 1.0), (0.5, 0.75)]

    def test_cells_that_differ_in_any_key_have_names_of_their_own(
        self, tmp_path, make_space, plan_cells, train
    ):
        """Also where the second came later, when the first was written already."""
        alone = make_space(learning_rate=0.001)
        both = make_space(variants="[{learning_rate: 0.001}, {learning_rate: 0.01}]")
        with opened(tmp_path / "run", both) as ledger:
            train(ledger, points(0), alone, plan_cells(alone)[0])
            train(ledger, points(0), both, plan_cells(both)[1])
            members, _, thresholds = write_tables(ledger, both)
        assert list(dict.fromkeys(thresholds["cell"].to_pylist())) == [
            "digits mlp 4,4 learning_rate 0.001",
            "digits mlp 4,4 learning_rate 0.01",
        ]
        assert list(dict.fromkeys(thresholds["learning_rate"].to_pylist())) == [0.001, 0.01]
        assert set(members["cell"].to_pylist()) == set(thresholds["cell"].to_pylist())
