"""Where the files of a run are.

space.yaml              the space as it was last run
fragments/ID.members.parquet, ID.history.parquet    the results of a finished pack, written once, atomically
fragments/merged-ID.…    the results of many packs in one fragment
fragments/ID.failed.parquet    members of a pack that failed permanently; the next sweep tries them again
checkpoints/ID.pt       the state of a pack in training
weights/ID.safetensors  the trained weights of a pack, where they are kept
sheets/CELL.parquet     images of the cell's members, where they are kept; no number is read from them
sweep.log               messages of Ray and tracebacks
.reserve, .reserve.N    bytes and files reserved for the last fragments and tables on a full disk
studies.log             the searches, as Optuna studies
{members,history,thresholds,comparisons,costs}.parquet, figures/, report.html    made of the fragments
.states                 the URI of the packs' states, if they are not in checkpoints/
.sweep_id, .origin, .lock    identity of the sweep, where its directory was made, and that it is in use

Every file that a number is read from carries a digest, which is checked on every reading.
"""

from pathlib import Path

WRITTEN = {
    "": r"(space\.yaml|\.states|\.sweep_id|\.origin|\.reserve[.\d]*|report\.html|[a-z_]+\.parquet)",
    "fragments": r"[^.]+\.(members|history|failed)\.parquet",
    "checkpoints": r"[^.]+\.pt",
    "weights": r"[^.]+\.safetensors",
    "sheets": r"[^.]+\.parquet",
    "figures": r"[^.].*",
}
"""Patterns of the files that are written aside first, by their folder."""


class Paths:
    """Paths of a run's files.

    Attributes:
        path: the folder of the run.
        settings: the space as it was last run.
        fragments: the folder of the packs' results.
        checkpoints: the folder of the packs' states.
        states_uri: the file with the URI of the packs' states, where they are elsewhere.
        weights: the folder of the packs' trained weights.
        sheets: the folder of the cells' images.
        log: the file for messages that are too long for the terminal.
        studies: the journal of the Optuna studies.
        costs: the table of costs.
    """

    def __init__(self, path: Path) -> None:
        self.move(path)

    def move(self, path: Path) -> None:
        """Name the files in this folder."""
        self.path = path
        self.settings = path / "space.yaml"
        self.fragments = path / "fragments"
        self.checkpoints = path / "checkpoints"
        self.states_uri = path / ".states"
        self.weights = path / "weights"
        self.sheets = path / "sheets"
        self.log = path / "sweep.log"
        self.studies = path / "studies.log"
        self.costs = self.table("costs")

    def table(self, name: str) -> Path:
        """Return the file of a table."""
        return self.path / f"{name}.parquet"

    def fragment(self, name: str, kind: str) -> Path:
        """Return a file of a fragment; its kind is `members`, `history` or `failed`."""
        return self.fragments / f"{name}.{kind}.parquet"

    def fragment_files(self, kind: str) -> list[Path]:
        """Return the files of a kind; names with more dots are not of this project."""
        return sorted(path for path in self.fragments.glob(f"*.{kind}.parquet") if path.name.count(".") == 2)

    def checkpoint(self, pack_id: str) -> Path:
        """Return the file of a pack's state."""
        return self.checkpoints / f"{pack_id}.pt"

    def weights_of(self, pack_id: str) -> Path:
        """Return the file of a pack's trained weights."""
        return self.weights / f"{pack_id}.safetensors"

    def sheet(self, cell_id: str) -> Path:
        """Return the file of a cell's images."""
        return self.sheets / f"{cell_id}.parquet"
