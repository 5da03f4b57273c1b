"""A file that was dropped onto napari is predicted at the size that it records."""

import numpy as np
import pytest
import tifffile

from fake_engine import light


@pytest.fixture
def dropped(viewer, tmp_path):
    """An OME-TIFF of a sparse stack, opened by napari's own reader."""
    path = tmp_path / "light.ome.tif"
    tifffile.imwrite(
        path,
        light(),
        metadata={
            "axes": "ZYX",
            "PhysicalSizeX": 0.29,
            "PhysicalSizeY": 0.29,
            "PhysicalSizeZ": 1.16,
        },
    )
    (layer,) = viewer.open(path, plugin="napari")
    assert np.allclose(layer.scale, 1)  # else this test says nothing
    return layer


def test_the_size_comes_from_the_file(dropped, viewer, engine, qtbot):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    qtbot.waitUntil(lambda: dock.preview.plan.view.ratio == pytest.approx(4))
    assert dock.form.input.typed_voxel_size() == (1.16, 0.29, 0.29)


def test_what_the_user_types_counts_more(dropped, viewer, engine, qtbot):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    dock.form.input.type_voxel_size((0.58, 0.29, 0.29))
    with qtbot.waitSignal(dock._recorded.found):
        dock._recorded.look(dropped, dock.preview.reading)
    dock.refresh_now()
    assert dock.form.input.typed_voxel_size() == (0.58, 0.29, 0.29)


def test_another_stack_and_back_again_asks_no_second_time(
    dropped, viewer, engine, qtbot
):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    qtbot.waitUntil(lambda: dock.form.input.typed_voxel_size() is not None)
    other = viewer.add_image(light(seed=1), name="bright-field 2")
    dock.refresh_now()
    for layer in (other, dropped):
        dock.form.input.choose_layer(layer.unique_id and str(layer.unique_id))
        dock.form.input.changed.emit()
        dock.refresh_now()
    qtbot.waitUntil(lambda: dock.form.input.typed_voxel_size() is not None)
