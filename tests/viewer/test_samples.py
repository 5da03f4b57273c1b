"""Samples in a real viewer, by napari's menu and by the dock's link."""

from functools import partial

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.io import samples as public_samples
from napari_sparsessp.io.samples import NEURON_STAINS, PUBLIC_SAMPLES, write_stack
from napari_sparsessp.ui import samples
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.plan.form import PlanState
from napari_sparsessp.ui.predict.form import RunState
from napari_sparsessp.ui.train.form import TrainState
from napari_sparsessp.volume import Volume

PIXELS = np.random.default_rng(0).integers(100, 900, (8, 40, 48)).astype(np.uint16)
BOTH = np.stack([PIXELS, PIXELS // 2])
FILES = {
    "hipsc_dna_pair": [Volume(BOTH, "CZYX", (0.29,) * 3, ("Bright-field", "DNA"))],
    "neurons": [
        Volume(PIXELS, "ZYX", None, ("Phase contrast",)),
        Volume(np.stack([PIXELS[:1]] * 3), "CZYX", None, NEURON_STAINS),
    ],
    "yeast_timelapse": [Volume(np.stack([PIXELS] * 3), "TZYX", None, ("Light",))],
}


def put_here(key):
    for path, volume in zip(PUBLIC_SAMPLES[key].paths, FILES[key], strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_stack(path, volume)


@pytest.fixture(autouse=True)
def samples_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SAMPLES", str(tmp_path))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def download(*_args, **_more):
        raise InputError("there is no network; connect and try again")

    monkeypatch.setattr(public_samples, "download", download)


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("neurons", ["Phase contrast", "DAPI", "MAP2", "NFH"]),
        ("yeast_timelapse", ["Light"]),
    ],
)
def test_a_fetched_sample_opens_from_the_menu(viewer, key, names):
    put_here(key)
    viewer.open_sample("napari-sparsessp", key)
    light, *truths = viewer.layers
    assert light.name == f"{key} · {names[0]}"
    assert [one.name for one in truths] == [f"{key} · {x} · truth" for x in names[1:]]
    assert [layer.visible for layer in truths] == [False] * len(truths)
    assert light.data.dtype == np.uint16
    assert light.axis_labels[-3:] == ("z", "y", "x")


def test_the_nikon_sample_opens_with_its_channels(viewer, shared_data):
    sample = PUBLIC_SAMPLES["blood_cells"]
    sample.folder.mkdir()
    kept = shared_data("pbmc_brightfield_dapi_fitc_tritc.nd2")
    sample.paths[0].write_bytes(kept.read_bytes())
    viewer.open_sample("napari-sparsessp", "blood_cells")
    assert len(viewer.layers) == 4


def test_the_menu_asks_first_and_no_means_no(viewer, monkeypatch):
    """Without the user's yes nothing is fetched, and nothing is opened."""
    asked = []

    def decline(dialog):
        asked.append((dialog.key(), dialog.start_button.text()))
        dialog.reject()
        return 0

    monkeypatch.setattr(samples.SampleDialog, "exec", decline)
    assert viewer.open_sample("napari-sparsessp", "neurons") == []
    assert asked == [("neurons", "Download and open")]
    assert len(viewer.layers) == 0


def test_a_damaged_sample_is_a_warning_of_the_menu(viewer, monkeypatch):
    said = []
    monkeypatch.setattr(samples, "show_warning", said.append)
    put_here("hipsc_dna_pair")
    PUBLIC_SAMPLES["hipsc_dna_pair"].paths[0].write_bytes(b"no image")
    assert viewer.open_sample("napari-sparsessp", "hipsc_dna_pair") == []
    assert "hipsc_dna_pair.ome.tif" in said[0]


def test_the_dense_colony_serves_every_dock(viewer):
    viewer.open_sample("napari-sparsessp", "dense_colony")
    add = partial(viewer.window.add_plugin_dock_widget, "napari-sparsessp")
    predict, plan, train = (add(x)[1] for x in ("Predict", "Plan sampling", "Train"))
    for dock in (predict, plan, train):
        dock.refresh_now()
    assert len(predict.form.structures.truths()) == 12
    states = [dock.form.foot.state for dock in (predict, plan, train)]
    assert states == [RunState.READY, PlanState.READY, TrainState.READY]


@pytest.fixture
def empty_dock(viewer, engine):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    return dock


def test_the_dock_offers_real_stacks_where_there_is_none(
    empty_dock, viewer, qtbot, monkeypatch
):
    monkeypatch.setattr(samples, "fetch", lambda sample, _meter: put_here(sample.key))
    form = empty_dock.form
    form.input.samples_button.click()
    dialog = empty_dock._samples.dialog
    dialog.choose("hipsc_dna_pair")
    dialog.start_button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    qtbot.waitUntil(lambda: form.foot.state is RunState.READY)
    assert form.input.samples_button.isHidden()
    assert form.structures.truths().keys() == {"dna"}
    assert empty_dock._samples.dialog is None


def test_a_file_is_opened_as_ground_truth_or_as_an_image(dock, viewer, qtbot):
    """Neither becomes the input."""
    put_here("hipsc_dna_pair")
    (path,) = PUBLIC_SAMPLES["hipsc_dna_pair"].paths
    with qtbot.waitSignal(dock._files.truths_opened):
        dock._files.open(path, "truth")
    (truth,) = viewer.layers[1:]
    assert truth.name == "hipsc_dna_pair · DNA · truth"
    assert not truth.visible
    dock.refresh_now()
    key = layer_key(truth)
    assert dock.form.structures.truths() == {"dna": key}
    dock._files.open(path, "image")
    qtbot.waitUntil(lambda: len(viewer.layers) == 4)
    dock.refresh_now()
    assert dock.form.input.layer_box.currentText() == "bright-field"
    assert dock.form.structures.truths() == {"dna": key}


def test_a_damaged_sample_is_reported_in_the_dock(empty_dock, viewer, qtbot):
    (path,) = PUBLIC_SAMPLES["hipsc_field"].paths
    path.parent.mkdir()
    path.write_bytes(b"no image")
    empty_dock._samples.open("hipsc_field")
    message = empty_dock.form.foot.message
    assert message.is_error
    assert "hipsc_field.ome.tif" in message.text.text()
    assert len(viewer.layers) == 0
