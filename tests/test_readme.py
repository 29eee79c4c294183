"""What the documentation shows works: its system and data set are swept, its keys are those there are."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from search_spaces import load
from search_spaces.table_of_keys import BEGIN, END, tables
from sweeps.phase_transition import main
from tests.recipe import write_recipe
from tests.sweeps.conftest import drawing_nothing

ROOT = Path(__file__).parents[1]


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Write the files that docs/systems.md shows into a folder outside of the project, and return it."""
    write_recipe(tmp_path)
    return tmp_path


def arguments_of(folder: Path) -> list[str]:
    """Return the command line's arguments for the files in a folder."""
    return ["--space", str(folder / "flat.yaml"), "--out", str(folder / "run"), "--address", "serial"]


@pytest.fixture
def command(monkeypatch, capsys):
    """Return the command on the files in a folder, in this process: its exit code, output and errors."""
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
        code = main([*arguments_of(folder), *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    yield run
    for name in ("flat", "stripes"):
        sys.modules.pop(name, None)


SETTINGS = ("--set", "steps=60", "--set", "seeds=2", "--set", "search=grid")


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Path:
    """Return the folder of the page's files, with the run of them by the real command."""
    folder = tmp_path_factory.mktemp("recipe")
    write_recipe(folder)
    script = [sys.executable, str(ROOT / "sweeps/phase_transition.py")]
    done = subprocess.run(
        [*script, *arguments_of(folder), *SETTINGS], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.process
def test_the_shown_system_and_data_set_are_swept_by_the_command(swept, command):
    recipe = swept
    members = pq.read_table(recipe / "run/members.parquet").to_pylist()
    assert [(row["seed"], row["rho"]) for row in members] == [
        (s, r) for s in (0, 1) for r in (0.5, 0.75, 1.0)
    ]
    assert {row["status"] for row in members} == {"completed"}
    assert {row["cell"] for row in members} == {"stripes:Stripes mlp 2,2 flat:FlatVAE"}
    assert {row["pack_members"] for row in members} == {3}
    assert len({row["objective_nats"] for row in members}) == 6, "rho acts"
    assert len({row["code_digest"] for row in members}) == 1
    thresholds = pq.read_table(recipe / "run/thresholds.parquet").to_pylist()
    assert {(row["system"], row["dataset"]) for row in thresholds} == {("flat:FlatVAE", "stripes:Stripes")}
    with drawing_nothing():
        code, out, err = command(recipe, *SETTINGS)
    assert (code, err) == (0, "")
    assert "6 members are there already" in out


@pytest.mark.process
def test_another_text_of_a_users_file_is_not_mixed_with_the_one_before(swept, command, tmp_path):
    recipe = Path(shutil.copytree(swept, tmp_path / "recipe"))
    (recipe / "stripes.py").write_text((recipe / "stripes.py").read_text() + "\n")
    code, _, err = command(recipe, *SETTINGS)
    assert code == 2
    assert re.search(r"members with code_digest \w+, this sweep has \w+: .*put the files of then back", err)


@pytest.fixture
def refused(recipe, command):
    """Return a function that runs the command on the recipe, and returns the error."""

    def run(*arguments: str) -> str:
        code, _, error = command(recipe, *arguments)
        assert code == 2
        return error

    return run


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("system", "nowhere:FlatVAE", "system: found 'nowhere:FlatVAE'; cannot be imported: No module named"),
        ("system", "flat:Round", "cannot be imported: flat has no Round; put its file beside the space's"),
        ("system", "flat:nn", "has no attribute `traits` of type SystemTraits"),
        ("dataset", "stripes:np", "has no attribute `traits` of type DatasetTraits"),
        ("smoothed_networks", "[generative]", "flat:FlatVAE, which smooths only likelihood; use"),
        (
            "smoothing",
            "shrink",
            "flat:FlatVAE, which does not support it; use smoothing: posterior or ambient",
        ),
        ("architecture", "affine", "flat:FlatVAE, which does not support it; use architecture mlp or conv"),
        ("likelihood", "gaussian", "observation_variance: missing with likelihood gaussian"),
    ],
)
def test_what_does_not_fit_a_users_own_is_one_clear_error(recipe, refused, key, value, said):
    error = refused("--set", f"{key}={value}")
    assert said in error
    assert "Traceback" not in error
    assert not (recipe / "run").exists()


def test_data_that_are_not_as_their_traits_say_are_refused(recipe, refused):
    path = recipe / "stripes.py"
    path.write_text(path.read_text().replace("image_shape=(4, 4)", "image_shape=(2, 8)"))
    assert "has image_shape (4, 4), but its traits have (2, 8); correct the traits" in refused()


def test_the_shown_spaces_can_be_loaded(tmp_path):
    page = (ROOT / "docs/spaces.md").read_text(encoding="utf-8")
    plain, varied, weighed = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "my_space.yaml"
    path.write_text(plain)
    assert len(load(str(path)).cells()) == 4
    path.write_text(varied)
    for budget, steps, seeds in (("quick", 600, 2), ("full", 5000, 5)):
        space = load(str(path), budget=budget)
        cells = [(cell.activation, len(cell.latents), cell.steps) for cell in space.cells()]
        assert sorted(cells) == [(name, depth, steps) for name in ("elu", "relu") for depth in (2, 3)]
        assert (space.name, len(space.seeds)) == (f"my_space-{budget}", seeds)
    path.write_text(weighed)
    assert load(str(path)).control == "kl_weight"


def test_the_tables_of_keys_follow_from_the_declarations():
    page = (ROOT / "docs/spaces.md").read_text(encoding="utf-8")
    assert page.partition(BEGIN)[2].partition(END)[0] == "\n" + tables(), (
        "write them anew: python -m search_spaces.table_of_keys docs/spaces.md"
    )
