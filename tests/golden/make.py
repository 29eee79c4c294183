"""Make a run directory of this version, which all later versions have to read, extend and resume.

python tests/golden/make.py tests/golden/v6-numerics7

It holds two finished packs, and one more that is saved in the middle of its training. A directory that is
there stays as it is: a version that changes what is written gets another one beside it.
"""

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ouvae.data import load as load_data
from search_spaces import load
from sweeps import phase_transition
from sweeps.plan.cells import Point, plan_cells
from sweeps.plan.packs import Pack
from sweeps.worker.states import Folder
from sweeps.worker.task import Task
from sweeps.worker.work import PackWork

SPACE = Path(__file__).parent / "space.yaml"
TABLES = ("members", "history", "thresholds", "comparisons")
KEPT = ("space.yaml", ".sweep_id", "fragments", *(f"{name}.parquet" for name in TABLES))


def main() -> int:
    """Write the directory that is named."""
    folder = Path(sys.argv[1])
    if folder.exists():
        print(f"{folder} is there: it stays as it was made")
        return 2
    store = f"sqlite:///{folder}/mlflow.db"
    arguments = ["--space", str(SPACE), "--out", str(folder), "--tracking-uri", store, "--address", "serial"]
    code = phase_transition.main(arguments)
    for path in folder.iterdir():
        if path.name not in KEPT:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    _save_a_pack(folder / "checkpoints")
    return code


def _save_a_pack(checkpoints: Path) -> None:
    """Save the pack of a third seed after some steps, as a sweep that is stopped does."""
    checkpoints.mkdir()
    space, data = load(str(SPACE)), load_data("digits")
    (cell,) = plan_cells(space.swept(), lambda cell: data, "cpu")
    pack = Pack(cell, tuple(Point(rho, 2) for rho in cell.values))
    task = Task(
        pack_id=pack.pack_id,
        cell=cell.cell,
        control=cell.control,
        members=[(point.value, point.seed) for point in pack.points],
        data=data.digest,
        device="cpu",
        threads=1,
        evaluation_bytes=2**30,
        states=Folder(str(checkpoints)),
        checkpoint_seconds=60,
    )
    work = PackWork(task, data)
    work.advance(0.05)
    work.save()


if __name__ == "__main__":
    sys.exit(main())
