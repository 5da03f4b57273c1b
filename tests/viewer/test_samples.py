"""Samples in a real viewer, by napari's menu and by the dock's link."""

import numpy as np
import pytest

from napari_sparsessp.errors import InputError
from napari_sparsessp.io import samples as public_samples
from napari_sparsessp.io.samples import NEURON_STAINS, PUBLIC_SAMPLES, write_stack
from napari_sparsessp.ui import samples
from napari_sparsessp.ui.predict.form import RunState
from napari_sparsessp.volume import Volume

PIXELS = np.random.default_rng(0).integers(100, 900, (8, 40, 48)).astype(np.uint16)
FILES = {
    "hipsc_field": {"": Volume(PIXELS, "ZYX", (0.29, 0.33, 0.29), ("Bright-field",))},
    "hipsc_dna_pair": {
        "": Volume(
            np.stack([PIXELS, PIXELS // 2]),
            "CZYX",
            (0.29, 0.29, 0.29),
            ("Bright-field", "DNA"),
        )
    },
    "neurons": {
        "": Volume(PIXELS, "ZYX", None, ("Phase contrast",)),
        "_truth": Volume(np.stack([PIXELS[:1]] * 3), "CZYX", None, NEURON_STAINS),
    },
    "yeast_timelapse": {
        "": Volume(np.stack([PIXELS] * 3), "TZYX", None, ("Bright-field",))
    },
}


def put_here(key):
    for path, volume in zip(
        PUBLIC_SAMPLES[key].paths, FILES[key].values(), strict=True
    ):
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
        ("hipsc_field", ["hipsc_field · Bright-field"]),
        ("hipsc_dna_pair", ["hipsc_dna_pair · Bright-field", "DNA · truth"]),
        (
            "neurons",
            [
                "neurons · Phase contrast",
                "DAPI · truth",
                "MAP2 · truth",
                "NFH · truth",
            ],
        ),
        ("yeast_timelapse", ["yeast_timelapse · Bright-field"]),
    ],
)
def test_a_fetched_sample_opens_from_the_menu(viewer, key, names):
    put_here(key)
    viewer.open_sample("napari-sparsessp", key)
    assert [layer.name for layer in viewer.layers] == names
    assert [layer.visible for layer in viewer.layers] == [
        True,
        *[False] * (len(names) - 1),
    ]
    assert viewer.layers[0].data.dtype == np.uint16
    assert viewer.layers[0].axis_labels[-3:] == ("z", "y", "x")


def test_the_nikon_sample_opens_with_its_channels(viewer, shared_data):
    import shutil

    sample = PUBLIC_SAMPLES["blood_cells"]
    sample.folder.mkdir()
    shutil.copyfile(
        shared_data("pbmc_brightfield_dapi_fitc_tritc.nd2"), sample.paths[0]
    )
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
    with pytest.raises(InputError, match="no sample was opened"):
        viewer.open_sample("napari-sparsessp", "neurons")
    assert asked == [("neurons", "Download and open")]
    assert len(viewer.layers) == 0


@pytest.fixture
def empty_dock(viewer, engine):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    return dock


def test_the_dock_offers_real_stacks_where_there_is_none(
    empty_dock, viewer, qtbot, monkeypatch
):
    def fetch(sample, _meter):
        put_here(sample.key)

    monkeypatch.setattr(samples, "fetch", fetch)
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


def test_a_damaged_sample_is_told_in_the_dock(empty_dock, viewer, qtbot):
    (path,) = PUBLIC_SAMPLES["hipsc_field"].paths
    path.parent.mkdir()
    path.write_bytes(b"no image")
    empty_dock._samples.open("hipsc_field")
    message = empty_dock.form.foot.message
    assert message.is_error
    assert "hipsc_field.ome.tif" in message.text.text()
    assert len(viewer.layers) == 0
