"""How many members a second MLflow takes, into SQLite and into a server, and beside an earlier commit.

python benchmarks/tracking.py
python benchmarks/tracking.py --earlier d49495b --members 200
python benchmarks/tracking.py --out benchmarks/results/tracking.csv

Made-up members of one cell, with the columns that each code's tables have and three evaluations, are handed
to a tracker into a fresh store, in a process of its own; codes and stores take turns. The server is MLflow's
own on this machine, with one worker and a SQLite file.

members/s      from the first entry handed in to the last one logged; opening the store is not in it.
ms of CPU      of the sweep's process, a member.
numbers        points of metrics that a member has in the store.
"""

import argparse
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.checkouts import compared, import_from

EVALUATIONS = (0, 500, 1000)
LAYERS = 3
SERVER_SECONDS = 120


def made_up(schema: Any, own: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a schema whose columns are the given ones, or else what their types allow."""
    import pyarrow as pa

    def value(kind: Any) -> Any:
        if pa.types.is_list(kind):
            return [value(kind.value_type)] * LAYERS
        for is_kind, some in (
            (pa.types.is_integer, 7),
            (pa.types.is_floating, 0.5),
            (pa.types.is_boolean, True),
            (pa.types.is_timestamp, datetime.now(UTC)),
        ):
            if is_kind(kind):
                return some
        return "some"

    return {field.name: own.get(field.name, value(field.type)) for field in schema}


def serve(checkout: str, uri: str, count: str) -> int:
    """Log so many members with the code of a checkout, and print what that cost."""
    import_from(checkout)
    import search_spaces
    from analysis.tables.schema import HISTORY, MEMBERS

    try:
        from sweeps.tracking.tracker import Tracker
    except ImportError:  # where it was before
        from sweeps.tracking import Tracker  # type: ignore[no-redef,attr-defined]
    cell = search_spaces.load("digits").cells()[0].model_dump(mode="json")
    tracker = Tracker(uri, "rate", "sweep", "rate", {})
    if hasattr(tracker, "begin"):  # earlier ones begin when they are made
        tracker.begin()
    time.sleep(10)  # it opens the store in its own thread
    started, cpu = time.perf_counter(), time.process_time()
    for index in range(int(count)):
        own = {"member_id": f"member{index}", "cell_id": "cell", "seed": index}
        tracker.log_member(
            made_up(MEMBERS, cell | own | {"status": "completed", "diverged_at_step": None}),
            [made_up(HISTORY, own | {"step": step}) for step in EVALUATIONS],
        )
    said = tracker.close()
    spent, used = time.perf_counter() - started, time.process_time() - cpu
    if said.logged.get("member", said.logged.get("members")) != int(count):
        raise RuntimeError(str(said))
    print(json.dumps({"seconds": spent, "cpu": used}))
    return 0


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve a fresh store on this machine and give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{folder}/served.db",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + SERVER_SECONDS
            while time.monotonic() < deadline:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def rate(checkout: Path, store: str, members: int) -> dict[str, Any]:
    """Return what so many members cost with the code of a checkout, into a fresh store."""
    with tempfile.TemporaryDirectory(prefix="ouvae-tracking-") as scratch:
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--serve", str(checkout)]
        if store == "server":
            with server(Path(scratch)) as uri:
                return _told([*command, uri, str(members)], scratch)
        found = _told([*command, f"sqlite:///{scratch}/mlflow.db", str(members)], scratch)
        with closing(sqlite3.connect(f"{scratch}/mlflow.db")) as database:
            ((points,),) = database.execute("SELECT count(*) FROM metrics").fetchall()
        return found | {"numbers": points}


def _told(command: Sequence[str], folder: str) -> dict[str, Any]:
    ended = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    asked = list(sys.argv[1:] if arguments is None else arguments)
    if asked[:1] == ["--serve"]:
        return serve(*asked[1:])
    from benchmarks.report import machine, write_rows  # not before `serve` has said whose code is imported

    parser = argparse.ArgumentParser(prog="tracking.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--members", type=int, default=300, metavar="N", help="default 300")
    add("--earlier", metavar="COMMIT", help="measure the code of a commit beside this one's")
    add("--turns", type=int, default=3, metavar="N", help="of each, default 3")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    given = parser.parse_args(asked)
    with compared(given.earlier) as codes:
        rows = measure(codes, given.members, given.turns)
    if given.out:
        write_rows(given.out, rows, machine())
    return 0


def measure(codes: dict[str, Path], members: int, turns: int) -> list[dict[str, Any]]:
    """Measure each code with each store, in turns, and return a row of each."""
    from benchmarks.report import print_row

    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(turns):
        for store in ("sqlite", "server"):
            for code, checkout in codes.items():
                found.setdefault((store, code), []).append(rate(checkout, store, members))
    rows = []
    for (store, code), runs in found.items():
        numbers = found["sqlite", code][0]["numbers"] / members
        seconds, cpu = (statistics.median(run[key] for run in runs) for key in ("seconds", "cpu"))
        row = {"store": store, "code": code, "members": members}
        row |= {"members_per_s": round(members / seconds, 1), "cpu_ms": round(1e3 * cpu / members, 2)}
        row |= {"numbers": round(numbers, 1), "numbers_per_s": round(members * numbers / seconds)}
        print_row(row)
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
