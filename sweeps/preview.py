"""What a sweep would train, for `--dry-run`."""

from rich.console import Console
from rich.table import Column, Table

from analysis.text.words import data_used, duration, plural
from ouvae.declared import labels
from search_spaces import Space
from sweeps.executors.executor import SERIAL
from sweeps.machine.cpus import usable_cpus
from sweeps.plan.cells import PlannedCell, plan_cells
from sweeps.plan.data_sets import DataSets
from sweeps.plan.packs import largest_pack, pack_points, packs_wanted
from sweeps.preparing import Options
from sweeps.record.rows import cell_columns
from sweeps.search.of_space import searches_of

CORE_SPEED = 1.5e10
"""Multiply-adds a second of one CPU core in packed training, measured on digits; for estimates only."""

COLUMNS = ("cell", "members", "packs at first", "member-steps", "core time")

LONGEST_LINE = 10_000
"""Characters that a line of the table may have, whatever the width of the terminal."""


def plan(space: Space, options: Options, console: Console) -> None:
    """Print cells, members, packs, data and the expected cost of the space; train and download nothing.

    The cost is an estimate: the arithmetic of the training steps at `CORE_SPEED` per core. A cluster is not
    asked for its slots, and its packs are counted as if it had one.
    """
    slots = _slots(space, options)
    device = "cpu" if space.device == "auto" else space.device
    data_lines = _data_lines(space, options, device)
    console.print(f"space {space.name}: search {space.search}, seeds {list(space.seeds)}")
    table = Table(*(Column(name, no_wrap=True) for name in COLUMNS))
    total_seconds, total_members = 0.0, 0
    swept_cells = space.swept()
    searches = searches_of(space, [{}] * len(swept_cells))
    names = labels(swept.cell for swept in swept_cells)
    for swept, search, name in zip(swept_cells, searches, names, strict=True):
        planned = PlannedCell(
            cell=swept.cell, label=name, rho=swept.rho, data_digest="", split_images=(0, 0, 0), device=device
        )
        largest = space.pack_size or largest_pack(planned)
        packs = pack_points(search.ask(), packs_wanted(slots or 1, len(swept_cells)), largest, planned)
        members = search.expected_points()
        member_steps = members * swept.cell.steps
        seconds = member_steps * planned.multiply_adds() / CORE_SPEED
        table.add_row(name, f"{members}", f"{len(packs)}", f"{member_steps:,}", duration(seconds))
        total_seconds, total_members = total_seconds + seconds, total_members + members
    table.width = console.measure(table, options=console.options.update(width=LONGEST_LINE)).maximum
    console.print(table)
    console.print("\n".join(f"data: {line}" for line in data_lines))
    cost = f"{total_members} members expected, about {duration(total_seconds)} of one core"
    if slots is not None:
        cost += f", {duration(total_seconds / slots)} on the {plural(slots, 'slot')} of this machine"
    console.print(cost)


def _slots(space: Space, options: Options) -> int | None:
    """Return how many packs train at once; None on a cluster."""
    if options.address == SERIAL:
        return 1
    return max(1, usable_cpus() // space.cpus_per_pack) if options.is_local else None


def _data_lines(space: Space, options: Options, device: str) -> list[str]:
    """Return a line for each data set: what it is, or that the sweep will download it."""
    data = DataSets(space.cells(), options.data_dir, download=False)
    local = [swept for swept in space.swept() if swept.cell in data]
    planned_cells = plan_cells(local, data.of, device)
    lines = [data_used(cell_columns(planned)) for planned in planned_cells]
    missing = [cell for cell in space.cells() if cell not in data]
    return list(dict.fromkeys([*lines, *(f"{cell.dataset}, which the sweep will fetch" for cell in missing)]))
