"""Saved with napari's own dialog's means and opened again: Predict goes on."""

import threading
import warnings

import dask.array as da
import numpy as np
import pytest
import yaozarrs

from fake_engine import MICRO, card, light
from images import write_stack
from napari_sparsessp.errors import OutputError
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.ui.layers.metadata import KEY, file_of, role_of, truth_of
from napari_sparsessp.ui.layers.opening import open_file
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.volume import Volume

DENSE = {"scale": (0.29,) * 3, "units": ("um",) * 3}
OURS = "napari-sparsessp"


@pytest.fixture(autouse=True)
def no_doubtful_save():
    """What napari only warns of when saving is a failure here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*(did not return|No data written)")
        yield


@pytest.fixture
def predicted(dock, viewer, ran):
    """A finished run on a sparse stack, with a truth and uncertainties."""
    viewer.add_image(light(32), name="Hoechst", **DENSE)
    dock.refresh_now()
    dock.form.options.rows.native("uncertainty").setChecked(True)
    ran(dock)
    return dock


@pytest.fixture
def another_viewer(request):
    """`another_viewer()`: made late, for it hides the first from napari."""
    return lambda: request.getfixturevalue("make_napari_viewer_proxy")()


def save(viewer, path):
    return viewer.layers.save(str(path), plugin=OURS)


def test_all_of_it_comes_back_in_another_viewer(
    predicted, viewer, another_viewer, tmp_path
):
    from napari.plugins import _npe2

    offered, _ = _npe2.file_extensions_string_for_layers(list(viewer.layers))
    assert "SparseSSP OME-Zarr, to go on with later (*.ome.zarr *.zarr)" in offered
    dna = predicted.layers.layer("dna")
    dna.contrast_limits, dna.opacity, dna.colormap = (0.25, 1.5), 0.5, "viridis"
    viewer.layers["bright-field"].gamma = 0.5
    viewer.layers["bright-field"].name = "renamed"
    viewer.layers["Hoechst"].visible = False
    viewer.layers.move(0, len(viewer.layers))
    (path,) = save(viewer, tmp_path / "story.ome.zarr")
    yaozarrs.validate_zarr_store(path)
    with pytest.raises(OutputError, match="exists already"):
        save(viewer, path)
    other = another_viewer()
    other.open(path, plugin=OURS)
    assert [one.name for one in other.layers] == [one.name for one in viewer.layers]
    for was, now in zip(viewer.layers, other.layers, strict=True):
        np.testing.assert_array_equal(np.asarray(now.data), np.asarray(was.data))
        for name in ("scale", "translate", "contrast_limits"):
            assert getattr(now, name) == pytest.approx(getattr(was, name))
        for name in ("units", "axis_labels", "visible", "opacity", "gamma", "blending"):
            assert getattr(now, name) == getattr(was, name)
        np.testing.assert_allclose(now.colormap.colors, was.colormap.colors, atol=1e-5)
        assert role_of(now) == role_of(was)
    ours = [one for one in other.layers if role_of(one)]
    assert {one.metadata[KEY]["source_id"] for one in ours} == {
        layer_key(other.layers["renamed"])
    }
    was, now = dna.metadata[KEY], other.layers["DNA · predicted"]
    assert truth_of(now) == layer_key(other.layers["Hoechst"])
    now = now.metadata[KEY]
    assert now["scores"] == {"r2": 0.5, "pcc": 0.7}
    assert now["provenance"]["model"]["id"] == "colony-3to2d"
    for name in ("request", "measured_planes", "ratio", "state", "structure"):
        assert now[name] == was[name]
    viewer.layers.selection = {dna}
    (path,) = viewer.layers.save(str(tmp_path / "dna"), selected=True, plugin=OURS)
    assert path.endswith("dna.ome.zarr")
    (alone,) = open_file(path)
    assert not alone.metadata[KEY].get("source_id")


def test_the_dock_opens_it_by_a_file_in_the_folder_and_goes_on(
    predicted, viewer, engine, another_viewer, tmp_path, ran, qtbot
):
    (path,) = save(viewer, tmp_path / "story.ome.zarr")
    other = another_viewer()
    _, dock = other.window.add_plugin_dock_widget(OURS, "Predict")
    with qtbot.waitSignal(dock._files.opened):
        dock._files.open(f"{path}/zarr.json")
    count = len(other.layers)
    assert count == len(viewer.layers)
    assert dock.form.input.layer_key() == layer_key(other.layers["bright-field"])
    dna = other.layers["DNA · predicted"]
    dock.refresh_now()
    assert dock.layers.layer("dna") == dna
    row = next(r for r in dock.form.structures.rows if r.structure.id == "dna")
    assert row.truth == layer_key(other.layers["Hoechst"])
    assert row.scores == {"r2": 0.5, "pcc": 0.7}
    qtbot.waitUntil(lambda: dock.preview.plan is not None)
    ran(dock)
    assert len(other.layers) == count  # the same layers, filled anew
    assert isinstance(dna.data, np.ndarray)


def test_model_and_truths_of_what_is_opened_are_chosen_once(
    predicted, viewer, engine, another_viewer, tmp_path
):
    odd = viewer.add_image(light(32, seed=5), name="odd", **DENSE)
    predicted.refresh_now()
    rows = [row.structure.id for row in predicted.form.structures.rows]
    predicted.form.structures.choose_truth(rows.index("dna"), layer_key(odd))
    (path,) = save(viewer, tmp_path / "story.ome.zarr")
    engine.the_cards.insert(0, card(id="newer"))
    other = another_viewer()
    _, dock = other.window.add_plugin_dock_widget(OURS, "Predict")
    assert dock.form.topology.model_id() == "newer"
    other.open(path, plugin=OURS)
    dock.refresh_now()
    assert dock.form.topology.model_id() == "colony-3to2d"
    assert dock.form.structures.ticked() == tuple(rows)
    assert dock.form.structures.truths()["dna"] == layer_key(other.layers["odd"])
    assert dock.form.options.rows.values().uncertainty
    assert dock.layers.layer("dna") == other.layers["DNA · predicted"]
    dock.shelf.offer("newer")
    other.layers["bright-field"].name = "renamed"
    dock.refresh_now()
    assert dock.form.topology.model_id() == "newer"  # the user's own choice stays


def test_a_prediction_of_the_command_line_finds_its_stack(
    dock, viewer, tmp_path, qtbot
):
    """Whichever is opened first; what a file names is never opened by itself."""
    write_stack(tmp_path / "in.ome.tif", light(), "ZYX", (1.16, 0.29, 0.29))
    truth = np.stack([light(32), light(32, seed=1)]).astype(np.float32)
    names = ["dna", "golgi_apparatus"]
    write_stack(tmp_path / "truth.ome.tif", truth, "CZYX", (0.29,) * 3, channels=names)
    asked = {
        "input": str(tmp_path / "in.ome.tif"),
        "truth": {"dna": f"{tmp_path / 'truth.ome.tif'}:0"},
    }
    result = Volume(truth[:1], "CZYX", (0.29,) * 3)
    about = {"request": asked, "model": {"id": "colony-3to2d"}}
    path = write_prediction(tmp_path / "out.ome.zarr", result, names[:1], about)
    for name in (path, "in.ome.tif", "truth.ome.tif"):
        before = len(viewer.layers)
        dock._files.open(tmp_path / name)
        qtbot.waitUntil(lambda before=before: len(viewer.layers) > before)
    (dna,) = [one for one in viewer.layers if role_of(one)]
    assert not dna.metadata[KEY].get("source_id") or dna.metadata[KEY]["source"]
    dock.refresh_now()
    assert dna.metadata[KEY]["source_id"] == layer_key(viewer.layers["in"])
    dock.form.input.choose_layer(layer_key(viewer.layers["in"]))
    dock.refresh_now()
    assert dock.layers.layer("dna") == dna


def test_saving_can_be_stopped_and_leaves_nothing(dock, viewer, qtbot, tmp_path):
    go, saving = threading.Event(), threading.Event()

    def slow(block):
        if saving.is_set():  # napari looks at it too, on the interface
            go.wait(30)
        return block

    stack = da.zeros((64, 64, 64), chunks=(32, 64, 64), dtype=np.float32)
    viewer.layers.clear()
    lazy = stack.map_blocks(slow, dtype=np.float32)
    layer = viewer.add_image(
        lazy, name="lazy", contrast_limits=(0, 1), visible=False, **MICRO
    )
    dock.refresh_now()
    saving.set()
    dock.export.save(tmp_path / "a.ome.zarr")
    assert dock.export.busy
    dock.export._progress.canceled.emit()
    with qtbot.waitSignal(dock.export.exported) as told:
        go.set()
    assert "stopped" in told.args[0]
    assert list(tmp_path.iterdir()) == []
    assert file_of(layer) is None
    with qtbot.waitSignal(dock.export.exported):
        dock.export.save(tmp_path / "a.ome.zarr")
    assert file_of(layer).path == str(tmp_path / "a.ome.zarr")
