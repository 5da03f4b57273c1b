"""From files to layers: the sample, the open button, and the view of a result."""

import numpy as np
import pytest

from fake_engine import MICRO, light
from images import write_stack
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.ui.layers.metadata import KEY, is_prediction
from napari_sparsessp.ui.layers.reading import read_layer
from napari_sparsessp.volume import Volume


@pytest.fixture
def stack(tmp_path):
    """A sparse stack, its truth and its prediction, as files."""
    ids = ("dna", "nucleolus")
    rng = np.random.default_rng(0)
    truth = rng.gamma(2, size=(2, 32, 48, 64)).astype(np.float32)
    paths = []
    for name, data, names, step in (
        ("light", light(8, 48, 64)[None].astype(np.float32), ("dna",), 1.16),
        ("prediction", truth, ids, 0.29),
        ("truth", truth, ids, 0.29),
    ):
        path = tmp_path / f"{name}.ome.tif"
        volume = Volume(data, "CZYX", (step, 0.29, 0.29), names)
        write_prediction(path, volume, names, {"model": {"id": "colony-3to2d"}})
        paths.append(path)
    return paths


def test_open_button_adds_layers_with_scale_or_says_why_not(
    dock, viewer, stack, tmp_path, qtbot
):
    with qtbot.waitSignal(dock._files.opened):
        dock._files.open(stack[1])
    added = viewer.layers[-1]
    assert tuple(added.scale) == pytest.approx((0.29, 0.29, 0.29))
    assert str(added.units[0]) == "micrometer"
    assert added.name == f"{stack[1].name.split('.')[0]} · nucleolus"
    broken = tmp_path / "broken.ome.tif"
    broken.write_bytes(b"II*\0 nothing")
    with qtbot.waitSignal(dock._files.failed):
        dock._files.open(broken)
    assert dock.form.foot.message.is_error
    assert "broken.ome.tif" in dock.form.foot.message.text.text()


def test_show_puts_a_result_side_by_side(
    stack, engine, make_napari_viewer, request, tmp_path, capsys
):
    from napari_sparsessp.ui.show import main, show

    assert main([str(tmp_path / "no.tif"), str(tmp_path / "no2.tif")]) == 2
    assert "no.tif" in capsys.readouterr().err
    viewer, dock = show(*stack)
    request.addfinalizer(viewer.close)
    assert viewer.canvas.grid.enabled
    found = [layer for layer in viewer.layers if is_prediction(layer)]
    assert [layer.metadata[KEY]["structure"] for layer in found] == ["dna", "nucleolus"]
    assert found[0].metadata[KEY]["provenance"]["model"]["id"] == "colony-3to2d"
    row = next(r for r in dock.form.structures.rows if r.structure.id == "nucleolus")
    assert row.scores["pcc"] == pytest.approx(1)


def test_a_shown_uncertainty_is_a_hidden_layer_of_its_own(viewer, engine):
    from napari_sparsessp.ui.show import _add_predictions

    both = np.random.default_rng(1).gamma(2, size=(2, 32, 96, 128)).astype(np.float32)
    volume = Volume(both, "CZYX", (0.29,) * 3, ("dna", "dna_std"))
    about = {"model": {"id": "colony-3to2d"}, "unfamiliar": ["it is noise"]}
    source = viewer.add_image(light(), name="bright-field", **MICRO)
    _add_predictions(viewer, volume, source, about)
    predicted, unsure = viewer.layers[-2:]
    assert is_prediction(predicted)
    assert not is_prediction(unsure)
    assert (predicted.visible, unsure.visible) == (True, False)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    dock.refresh_now()
    assert dock.layers.layers("uncertainty")["dna"].unique_id == unsure.unique_id
    rows = {row.structure.id: row for row in dock.form.structures.rows}
    assert rows["dna"].spread is False
    assert rows["dna"].doubts == ("it is noise",)
    assert rows["dna"].truth is None


def test_the_size_comes_from_the_file_and_what_is_typed_counts_more(
    viewer, tmp_path, engine, qtbot
):
    path = write_stack(tmp_path / "light.ome.tif", light(), "ZYX", (1.16, 0.29, 0.29))
    (layer,) = viewer.open(path, plugin="napari")
    assert np.allclose(layer.scale, 1)  # else this test says nothing
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    qtbot.waitUntil(lambda: dock.preview.plan.view.ratio == pytest.approx(4))
    assert dock.form.input.typed_voxel_size() == (1.16, 0.29, 0.29)
    dock.form.input.type_voxel_size((0.58, 0.29, 0.29))
    with qtbot.waitSignal(dock._recorded.found):
        dock._recorded.look(layer, read_layer(layer))
    dock.refresh_now()
    assert dock.form.input.typed_voxel_size() == (0.58, 0.29, 0.29)
