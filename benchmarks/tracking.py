"""Measure how many members per second MLflow logs, into SQLite and into a server.

python benchmarks/tracking.py
python benchmarks/tracking.py --earlier d49495b --members 200
python benchmarks/tracking.py --out benchmarks/results/tracking.csv

Each measurement is a process that logs made-up members of one cell to a fresh store, through a tracker. The
members have the columns of the measured code's tables, and three evaluations. Codes and stores take turns;
`--earlier` adds the code of an earlier commit. The server is MLflow's, on this machine, with one worker and a
SQLite file.

members/s      from the first call of the tracker to the last logged member, without opening the store.
ms of CPU      CPU time of the sweep's process per member.
numbers        metric points per member in the store.
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


def made_up(schema: Any, columns: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a schema: the values of `columns`, and a constant of the right type elsewhere."""
    import pyarrow as pa

    def value(kind: Any) -> Any:
        if pa.types.is_list(kind):
            return [value(kind.value_type)] * LAYERS
        for is_kind, constant in (
            (pa.types.is_integer, 7),
            (pa.types.is_floating, 0.5),
            (pa.types.is_boolean, True),
            (pa.types.is_timestamp, datetime.now(UTC)),
        ):
            if is_kind(kind):
                return constant
        return "some"

    return {field.name: columns.get(field.name, value(field.type)) for field in schema}


def serve(checkout: str, uri: str, count: str) -> int:
    """Log `count` members with the code of a checkout, and print the wall and CPU seconds."""
    import_from(checkout)
    import search_spaces
    from analysis.tables.schema import HISTORY, MEMBERS

    try:
        from sweeps.tracking.tracker import Tracker
    except ImportError:  # in earlier commits
        from sweeps.tracking import Tracker  # type: ignore[no-redef,attr-defined]
    cell = search_spaces.load("digits").cells()[0].model_dump(mode="json")
    tracker = Tracker(uri, "rate", "sweep", "rate", {})
    if hasattr(tracker, "begin"):  # earlier trackers begin when they are created
        tracker.begin()
    time.sleep(10)  # the tracker opens the store in a thread
    started, cpu = time.perf_counter(), time.process_time()
    for index in range(int(count)):
        identity = {"member_id": f"member{index}", "cell_id": "cell", "seed": index}
        tracker.log_member(
            made_up(MEMBERS, cell | identity | {"status": "completed", "diverged_at_step": None}),
            [made_up(HISTORY, identity | {"step": step}) for step in EVALUATIONS],
        )
    report = tracker.close()
    spent, used = time.perf_counter() - started, time.process_time() - cpu
    if report.logged.get("member", report.logged.get("members")) != int(count):
        raise RuntimeError(str(report))
    print(json.dumps({"seconds": spent, "cpu": used}))
    return 0


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Serve a fresh store on this machine, and yield its address."""
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
    """Return what logging `members` members to a fresh store costs with the code of a checkout."""
    with tempfile.TemporaryDirectory(prefix="ouvae-tracking-") as scratch:
        command = [sys.executable, "-P", str(Path(__file__).resolve()), "--serve", str(checkout)]
        if store == "server":
            with server(Path(scratch)) as uri:
                return _printed([*command, uri, str(members)], scratch)
        cost = _printed([*command, f"sqlite:///{scratch}/mlflow.db", str(members)], scratch)
        with closing(sqlite3.connect(f"{scratch}/mlflow.db")) as database:
            ((points,),) = database.execute("SELECT count(*) FROM metrics").fetchall()
        return cost | {"numbers": points}


def _printed(command: Sequence[str], folder: str) -> dict[str, Any]:
    """Run a command and return the JSON object on its last line."""
    finished = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    values: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return values


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--serve"]:
        return serve(*words[1:])
    from benchmarks.report import machine, write_rows  # not earlier: `serve` chooses the imported checkout

    parser = argparse.ArgumentParser(prog="tracking.py", description=(__doc__ or "").split("\n", 1)[0])
    add = parser.add_argument
    add("--members", type=int, default=300, metavar="N", help="default 300")
    add("--earlier", metavar="COMMIT", help="measure the code of a commit beside this one's")
    add("--turns", type=int, default=3, metavar="N", help="of each, default 3")
    add("--out", type=Path, metavar="CSV", help="write the rows there too")
    args = parser.parse_args(words)
    with compared(args.earlier) as codes:
        rows = measure(codes, args.members, args.turns)
    if args.out:
        write_rows(args.out, rows, machine())
    return 0


def measure(codes: dict[str, Path], members: int, turns: int) -> list[dict[str, Any]]:
    """Measure each code with each store, in turns; return a row for each pair of store and code."""
    from benchmarks.report import print_row

    costs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(turns):
        for store in ("sqlite", "server"):
            for code, checkout in codes.items():
                costs.setdefault((store, code), []).append(rate(checkout, store, members))
    rows = []
    for (store, code), runs in costs.items():
        numbers = costs["sqlite", code][0]["numbers"] / members
        seconds, cpu = (statistics.median(run[key] for run in runs) for key in ("seconds", "cpu"))
        row = {"store": store, "code": code, "members": members}
        row |= {"members_per_s": round(members / seconds, 1), "cpu_ms": round(1e3 * cpu / members, 2)}
        row |= {"numbers": round(numbers, 1), "numbers_per_s": round(members * numbers / seconds)}
        print_row(row)
        rows.append(row)
    return rows


if __name__ == "__main__":
    sys.exit(main())
