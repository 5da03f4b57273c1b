"""What is on screen becomes a box of output voxels."""

import numpy as np
import pytest

from napari_sparsessp.ui.layers.viewport import (
    layer_index,
    visible_box,
)

pytestmark = pytest.mark.painted


@pytest.fixture
def shown(viewer):
    layer = viewer.add_image(
        np.zeros((32, 200, 300), np.float32), scale=(0.29,) * 3, units=("um",) * 3
    )
    viewer.dims.set_point(0, 10 * 0.29)
    return viewer, layer


def test_the_slice_that_is_shown_is_the_z_of_the_box(shown):
    viewer, layer = shown
    time, (z, y, x) = visible_box(viewer, layer, has_time=False)
    assert time is None
    assert (z.start, z.stop) == (10, 11)
    assert 0 <= y.start < y.stop <= 200
    assert 0 <= x.start < x.stop <= 300


def test_units_of_other_layers_do_not_matter(shown):
    viewer, layer = shown
    viewer.add_image(np.zeros((9, 20, 30)), scale=(1000,) * 3, units=("nm",) * 3)
    viewer.dims.set_point(0, 2900)  # the world is in nm now
    assert layer_index(viewer, layer)[0] == 10


def test_the_drawing_says_what_the_plane_on_screen_is_and_a_click_goes_there(
    dock, viewer, qtbot, ran
):
    drawing = dock.form.sampling.drawing
    viewer.dims.set_point(0, 4 * 0.29)
    qtbot.waitUntil(lambda: drawing.plane_text() == "1.2 µm, measured")
    drawing.plane_asked.emit(8.0)
    assert viewer.dims.point[0] == pytest.approx(8 * 0.29)
    ran(dock)
    viewer.dims.set_point(0, 6 * 0.29)
    qtbot.waitUntil(lambda: drawing.plane_text() == "1.7 µm, predicted")
    viewer.dims.ndisplay = 3
    qtbot.waitUntil(lambda: drawing.plane_text() == "")
