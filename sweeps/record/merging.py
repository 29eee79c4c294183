"""Members of other run directories, of other machines for example, that join a run."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from analysis.statistics.rule import rules_of
from analysis.tables.replacing import replacing
from search_spaces import Space
from sweeps.errors import SweepError
from sweeps.record.agreement import member_conflicts, space_conflicts, space_of
from sweeps.record.directory import RunDirectory
from sweeps.record.fragments import Fragment, Fragments, joined
from sweeps.record.holding import is_in_use
from sweeps.record.ledger import Ledger
from sweeps.record.paths import Paths
from sweeps.record.tables import write_tables


@dataclass(frozen=True)
class Joined:
    """What a run got from another.

    Attributes:
        source: the other run.
        new: number of members that joined.
        known: number of members that the run had already.
    """

    source: Path
    new: int
    known: int


def merge(into: Path, sources: Sequence[Path]) -> list[Joined]:
    """Add the finished members of runs to a run, and write its tables. The other runs stay as they are.

    All runs are of one space, which may differ in cells, values, seeds and search. Members that the
    run has stay as they are. Kept weights and images are copied. The same call goes on with a merge that was
    stopped.

    Raises:
        SpaceError: a run's space cannot be read.
        SweepError: a folder is no run or in use, its files are damaged, or its members do not fit into the
            run; nothing is written then. Or the run cannot be written.
        TableError: a table or weights cannot be written, or settings were changed.
    """
    run = RunDirectory(into)
    space = space_of(run)
    if itself := [source for source in sources if source.resolve() == into.resolve()]:
        raise SweepError(f"{itself[0]} is the run itself; give the folder of another run")
    with run.held():
        ledger = Ledger(run, space)
        others = [(source, _read(source, space)) for source in sources]
        _check(run, ledger, others)
        run.begin(space.model_dump(mode="json"))
        results = [_join(ledger, source, fragment) for source, fragment in others]
        cell_ids = dict.fromkeys(row["cell_id"] for row in ledger.members.values())
        write_tables(ledger, list(cell_ids), rules_of(space.model_dump()))
        return results


def _read(source: Path, space: Space) -> Fragment:
    """Return the finished members of a run, which is not written to."""
    run = RunDirectory(source)
    space_of(run)
    if conflicts := space_conflicts(run, space):
        listed = "\n  ".join(conflicts)
        raise SweepError(f"{source} holds a sweep of another space\n  {listed}\n  merge runs of one space")
    if is_in_use(source):
        raise SweepError(f"{source} is in use by a sweep or an evaluation; wait for its end")
    fragments = Fragments(run)
    fragments.read()
    if run.notices:
        raise SweepError(
            f"{source} has damaged files: {'; '.join(run.notices)}. Run its sweep again, which mends it, and "
            "then merge"
        )
    return joined(fragments.by_name.values())


def _check(run: RunDirectory, ledger: Ledger, others: Sequence[tuple[Path, Fragment]]) -> None:
    """Refuse members that must not be mixed with those of a run, or with one another. Raises SweepError."""
    present = ledger.results()
    for source, fragment in others:
        if conflicts := member_conflicts(present.members, fragment.members):
            listed = "\n  ".join(conflicts)
            raise SweepError(
                f"{source} does not fit into {run.path}: one curve would mix members\n  {listed}"
            )
        present = joined([present, fragment])


def _join(ledger: Ledger, source: Path, fragment: Fragment) -> Joined:
    """Add the members of a run that the other lacks, in one fragment, after their weights; and sheets."""
    known = pc.is_in(fragment.members["member_id"], value_set=pa.array(list(ledger.members), pa.string()))
    new = fragment.of(pc.invert(known))
    if len(new.members):
        other = RunDirectory(source)
        for pack_id in new.members["pack_id"].unique().to_pylist():
            _copy_weights(other.weights_of(pack_id), ledger.run.weights_of(pack_id))
        ledger.join(new)
    ledger.sheets.join(Paths(source).sheets)
    return Joined(source, len(new.members), len(fragment.members) - len(new.members))


def _copy_weights(source: Path, target: Path) -> None:
    """Copy a pack's kept weights, if there are any. Raises TableError."""
    if source.is_file() and not target.exists():
        with source.open("rb") as weights, replacing(target) as file:
            shutil.copyfileobj(weights, file)
