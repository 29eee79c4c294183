"""A sweep of 2,080 members on a real cluster of two nodes, of which one dies and is replaced.

python benchmarks/two_nodes.py

Each node has 8 slots that are counted only, all on this machine. A third of the way a node is killed, and
after two thirds another one joins. The tables are compared with those of the same sweep in one process. A
pack follows the one that ended last before it starts. The line shows the median and the longest time between
the two, in which a worker asks for the pack, gets it and builds it, beside the time of a pack.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ray.cluster_utils import Cluster

sys.path.insert(0, str(Path(__file__).parents[1]))

from analysis.statistics.censored import Array
from analysis.tables.files import read_members

ROOT = Path(__file__).parents[1]
SLOTS = 8
"""Of a node."""

PACK_SIZE = 10
"""Members of a pack. Multiples of 16 packs fill the rounds of 1, 8 and 16 slots: packs stay the same."""

KEYS = (
    "name=two_nodes", "search=grid", "rho={low: 0.1, high: 1.0, points: 10}", "latents=[[4, 4]]",
    "hidden=[16]", "steps=20", "eval_every=20", f"pack_size={PACK_SIZE}", "track=sweep", "save_images=none",
)  # fmt: skip
TIMED = ("seconds", "finished_at")
"""Columns of the members table that differ between two runs of the same sweep."""


def command(out: Path, address: str, members: int) -> list[str]:
    """Return the command of the sweep: ten values, and as many seeds as the members need."""
    keys = [*KEYS, f"seeds={members // 10}"]
    script = [sys.executable, str(ROOT / "sweeps/phase_transition.py"), "--out", str(out)]
    return [*script, "--address", address, *(word for key in keys for word in ("--set", key))]


def finished_members(out: Path) -> int:
    """Return how many members of a run are finished, by its fragments, which the sweep merges meanwhile."""
    count = 0
    for path in out.glob("fragments/*.members.parquet"):
        with suppress(FileNotFoundError):
            count += pq.read_metadata(path).num_rows
    return count


def pack_times(out: Path) -> tuple[Array, Array]:
    """Return when the packs of a run started and ended, in seconds since 1970."""
    table = read_members(out).group_by("pack_id").aggregate([("seconds", "sum"), ("finished_at", "max")])
    ends = np.asarray(pc.cast(table["finished_at_max"], pa.int64())) / 1e3
    return ends - np.asarray(table["seconds_sum"]), ends


def times_between(starts: Array, ends: Array) -> Array:
    """Return the time from the end of a pack to the start of the pack that follows it on its slot.

    A pack follows the one that ended last before it starts, and is followed by one pack at most.
    """
    free: list[float] = []
    between: list[float] = []
    for start, end in sorted(zip(starts.tolist(), ends.tolist(), strict=True)):
        before = max((time for time in free if time <= start), default=None)
        if before is not None:
            between.append(start - before)
            free.remove(before)
        free.append(end)
    return np.array(between)


def until(out: Path, members: int, sweep: "subprocess.Popen[bytes]") -> None:
    """Wait until a sweep has finished so many members. Raises RuntimeError if it ends before."""
    while (count := finished_members(out)) < members:
        if sweep.poll() is not None:
            raise RuntimeError(f"the sweep ended after {count} members with exit code {sweep.returncode}")
        time.sleep(0.2)


def swept_on_nodes(out: Path, members: int) -> float:
    """Run the sweep on the cluster and return its seconds."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    first, _ = (cluster.add_node(num_cpus=SLOTS) for _ in range(2))
    started = time.monotonic()
    sweep = subprocess.Popen(command(out, cluster.address, members), stdout=sys.stderr)
    until(out, members // 3, sweep)
    cluster.remove_node(first, allow_graceful=False)
    print(f"a node is killed after {finished_members(out)} members", flush=True)
    until(out, 2 * members // 3, sweep)
    cluster.add_node(num_cpus=SLOTS)
    print(f"a node joins after {finished_members(out)} members", flush=True)
    if sweep.wait():
        raise RuntimeError(f"the sweep ended with exit code {sweep.returncode}")
    seconds = time.monotonic() - started
    cluster.shutdown()  # type: ignore[no-untyped-call]
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Run both sweeps, print the lines and return 1 if their members differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--members", type=int, default=2080, help="a multiple of 160, default 2080")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="two_nodes") as folder:
        runs = [Path(folder, name) for name in ("nodes", "serial")]
        seconds = swept_on_nodes(runs[0], given.members)
        starts, ends = pack_times(runs[0])
        between = times_between(starts, ends)
        alone = command(runs[1], "serial", given.members)
        subprocess.run(alone, check=True, stdout=subprocess.DEVNULL)
        tables = [read_members(run).drop_columns(TIMED).sort_by("member_id") for run in runs]
    print(
        f"{given.members} members in {seconds:.0f} s; between packs: median {np.median(between):.2f} s, "
        f"longest {between.max():.2f} s; a pack trains {np.median(ends - starts):.2f} s; "
        f"tables {'equal' if tables[0].equals(tables[1]) else 'DIFFER'}"
    )
    return int(not tables[0].equals(tables[1]))


if __name__ == "__main__":
    sys.exit(main())
