"""The phase diagram: what stands where, of one run and of several."""

import numpy as np
import pyarrow as pa
import pytest
from matplotlib.collections import QuadMesh

from analysis import TableError, style
from analysis.phase_diagram import located_cells, main, models, plot_phase_diagram, write_phase_diagram
from analysis.tables.files import write_table
from ouvae.declared import ORDER_PARAMETERS
from tests.analysis.conftest import SPACE

KL = ORDER_PARAMETERS["kl_top"]
FALLING = {
    (8, 8): [0.9, 0.88, 0.92],
    (16, 16): [0.8, 0.82, 0.78],
    (32, 32): [0.7, 0.72, 0.68],
    (8, 8, 8): [1.3] * 6,
    (16, 16, 16): [0.85, 0.83, 0.87],
}


@pytest.fixture
def run_of(tmp_path):
    """Return a writer of runs: a name and members."""

    def write(name: str, members: pa.Table) -> str:
        folder = tmp_path / name
        write_table(members, folder / "members.parquet")
        (folder / "space.yaml").write_text(SPACE)
        return str(folder)

    return write


def test_a_line_a_depth_with_the_intervals_of_the_table(make_members, run_of):
    run = run_of("one", make_members(FALLING))
    cells = located_cells([run], KL)
    top, *maps = plot_phase_diagram(cells, KL).axes[:3]
    lines = {container.get_label(): container for container in top.containers}
    assert list(lines) == ["2 layers", "3 layers"]
    sizes, rho_c = lines["2 layers"].lines[0].get_data()
    assert sizes.tolist() == [8, 16, 32]
    assert rho_c == pytest.approx([0.9, 0.8, 0.7], abs=0.03)
    rows = {tuple(one.row["latents"]): one.row for one in cells}
    (bars,) = lines["2 layers"].lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([rows[n, n]["rho_c_low"], rows[n, n]["rho_c_high"]]) for n in (8, 16, 32)]
    (arrow,) = [line for line in top.lines if "beyond" in str(line.get_label())]
    assert (arrow.get_marker(), arrow.get_xdata()[0], arrow.get_ydata()[0]) == ("^", 8, 1.0)
    assert [ax.get_ylabel() for ax in maps] == ["2 layers,\nsize of z_2", "3 layers,\nsize of z_3"]


def test_the_map_holds_the_mean_curves_and_the_line_of_the_thresholds(make_members, run_of):
    cells = located_cells([run_of("one", make_members(FALLING))], KL)
    two = plot_phase_diagram(cells, KL).axes[1]
    meshes = [child for child in two.get_children() if isinstance(child, QuadMesh)]
    assert len(meshes) == 3
    values = meshes[0].get_array().ravel()
    assert values[0] == pytest.approx(10 * (0.9 - 0.5), abs=1e-6)
    assert values[-1] == 0
    upright = [line.get_xdata() for line in two.lines if np.ptp(line.get_xdata()) == 0]
    rho_c = [one.row["rho_c"] for one in cells if one.row["depth"] == 2]
    assert sorted(float(x[0]) for x in upright) == pytest.approx(sorted(rho_c))
    assert two.lines[0].get_color() == style.VERMILLION


def test_models_stand_in_panels_of_their_own_and_runs_side_by_side(make_members, run_of):
    one = run_of("one", make_members({(8, 8): [0.9, 0.88]}))
    other = make_members({(8, 8): [0.7, 0.72]}, architecture="conv", cell_id="conv", cell="digits conv 8,8")
    cells = located_cells([one, run_of("other", other)], KL)
    assert list(models(cells)) == ["digits mlp", "digits conv"]
    titles = [ax.get_title() for ax in plot_phase_diagram(cells, KL).axes if ax.get_title()]
    assert titles == ["digits mlp", "digits conv"]


def test_it_is_written_beside_the_run_and_what_cannot_be_drawn_is_one_error(
    make_members, run_of, tmp_path, capsys
):
    run = run_of("one", make_members(FALLING))
    paths = write_phase_diagram([run], KL)
    assert [path.name for path in paths] == ["phase_diagram.png", "phase_diagram.svg"]
    assert paths[0].parent == tmp_path / "one" / "figures"
    assert main([run, "--out", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "phase_diagram.svg").read_bytes() == paths[1].read_bytes()
    assert main([run, "--order-parameter", "information_top"]) == 2
    assert "has no threshold of information_top; choose from kl_top" in capsys.readouterr().err
    assert main(["nowhere"]) == 2
    with pytest.raises(TableError, match="no cell has members that count"):
        plot_phase_diagram([], KL)
