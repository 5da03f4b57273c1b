"""Nuclei and the cells around them."""

from dataclasses import replace

import pytest
import torch

from napari_sparsessp.simulation.cells import grow_cells
from napari_sparsessp.simulation.parameters import (
    RandomFields,
    axial_blur,
    blur,
    draw_parameters,
)

SHAPE = (48, 112, 112)


def _cells(seed=3, **changes):
    changes = {"edge": 0.0, "floor": 1.0, "height": 12.0, **changes}
    p = replace(draw_parameters(seed), **changes)
    fields = RandomFields(SHAPE, 0.29, torch.Generator().manual_seed(seed))
    return grow_cells(p, SHAPE, fields)


def test_nuclei_lie_within_their_cells():
    """Nowhere in a wall, above the roof or below the floor."""
    cells = _cells()
    inside = cells.nucleus > 0
    assert inside.float().mean() > 0.05
    assert float(cells.wall[inside].min()) > 0.1
    assert float(cells.top[inside].min()) > 0
    assert float(cells.bottom[inside].min()) > 0


def test_nuclei_have_a_believable_size():
    """Whole ones are 6 to 16 µm across, as in hiPSC colonies."""
    from skimage.measure import label, regionprops
    from skimage.segmentation import clear_border

    cells = _cells(mitotic=0.0, spacing=11.0, nucleus_size=0.75, crowding=0.0)
    seen = (cells.nucleus > 0).any(0).numpy()
    across = [
        one.equivalent_diameter_area * 0.29
        for one in regionprops(label(clear_border(seen)))
    ]
    assert len(across) >= 3
    assert 6 < sorted(across)[len(across) // 2] < 16


def test_crowding_puts_nuclei_at_different_heights():
    """Their centres spread along z."""

    def spread(crowding):
        cells = _cells(crowding=crowding, height=16.0, mitotic=0.0)
        return float(cells.poles[:, 0].std())

    assert spread(0.9) > 1.15 * spread(0.0)


def test_cells_swell_where_their_nucleus_is():
    """Then borders are not the same in all planes."""

    def change(swell):
        cells = _cells(swell=swell, lean=0.0, crowding=0.9, height=16.0, bend=0.0)
        wall = cells.wall
        return float((wall[12] - wall[36]).abs().mean())

    assert change(0.0) < 1e-4
    assert change(2.4) > 0.2


def test_dividing_cells_have_bright_narrow_chromosomes_and_no_nucleoli():
    """A metaphase plate, or two plates on their way apart."""
    resting, dividing = _cells(mitotic=0.0), _cells(mitotic=1.0)
    assert float(resting.mitosis.max()) == 0
    assert float(dividing.nucleoli.max()) == 0
    assert (dividing.nucleus > 0).sum() < 0.5 * (resting.nucleus > 0).sum()


def test_blur_keeps_the_light_and_a_constant():
    """Rows of the axial blur sum to one; planes beyond the ends are like the ends."""
    matrix = axial_blur(9, 0.6, 0.29)
    torch.testing.assert_close(matrix.sum(1), torch.ones(9))
    flat = torch.full((9, 16, 16), 2.5)
    torch.testing.assert_close(blur(flat, 0.4, 0.6, 0.29), flat)


def test_blur_has_the_width_that_it_is_given():
    """Of a point, along z and across."""
    point = torch.zeros(41, 41, 41)
    point[20, 20, 20] = 1.0
    soft = blur(point, 0.58, 0.87, 0.29)
    steps = (torch.arange(41) - 20) * 0.29
    for axis, sigma in ((0, 0.87), (1, 0.58), (2, 0.58)):
        others = tuple(one for one in range(3) if one != axis)
        profile = soft.sum(others)
        width = torch.sqrt((profile * steps**2).sum() / profile.sum())
        assert float(width) == pytest.approx(sigma, rel=0.05)
