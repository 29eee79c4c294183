"""What a task asks for."""

import pytest

from sweeps.executors.executor import drawn_of
from sweeps.plan.cells import Point
from sweeps.plan.packs import Pack


@pytest.mark.parametrize(("keys", "drawn"), [({}, [0, 2]), ({"save_images": "none"}, [])])
def test_the_first_seed_is_drawn_on_the_initial_grid(make_space, plan_cells, keys, drawn):
    space = make_space(seeds=[4, 2], **keys)
    (cell,) = plan_cells(space)
    points = [Point(0.5, 4), Point(0.6, 4), Point(1.0, 4), Point(0.5, 2), Point(0.75, 9)]
    assert drawn_of(Pack(cell, tuple(points)), space) == drawn
    assert cell.cell_id == plan_cells(make_space(seeds=[4, 2]))[0].cell_id
