"""Phase from bright-field: the step of the Predict dock, and a layer of its own."""

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from fake_engine import FakeEngine, card
from napari_sparsessp.prediction.phase import Optics, reconstruct_phase
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.predict import dock as predict_dock
from napari_sparsessp.ui.predict import phase as phase_dialog
from napari_sparsessp.ui.predict.phase import phase_layer
from napari_sparsessp.ui.widgets import optics
from napari_sparsessp.ui.widgets.optics import OpticsOptions
from predicted import predictions

VOXEL = (0.29, 0.35, 0.25)
DENSE = {"scale": VOXEL, "units": ("um",) * 3, "axis_labels": ("z", "y", "x")}
CHOSEN = OpticsOptions(na=0.8, na_condenser=0.4, wavelength=0.6, index=1.33)
OPTICS = Optics(na=0.8, na_condenser=0.4, wavelength=0.6, index=1.33)


def stack(planes=6, seed=0):
    noise = np.random.default_rng(seed).normal(size=(planes, 40, 44))
    return (1000 + 100 * noise).astype(np.uint16)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch, tmp_path):
    monkeypatch.setattr(optics, "_file", lambda: tmp_path / "optics.yaml")


@pytest.fixture
def engine(monkeypatch):
    """An engine with one model for bright-field and one for phase."""
    other = card(id="of-phase", modality="quantitative phase", topology="3d")
    fake = FakeEngine(the_cards=[card(), other])
    monkeypatch.setattr(predict_dock, "InstalledEngine", lambda: fake)
    return fake


@pytest.fixture
def dock(engine, predict_on):
    widget = predict_on(stack(), **DENSE)
    widget.form.structures.tick(("dna",))
    return widget


def fill_in(form, options=CHOSEN):
    for name in ("na", "na_condenser", "wavelength", "index"):
        field = form.native(name)
        field.setText(str(getattr(options, name)))
        field.editingFinished.emit()


def test_the_step_is_offered_where_a_model_wants_phase_of_bright_field(dock, viewer):
    step = dock.form.phase
    assert not step.isVisibleTo(dock)
    dock.shelf.offer("of-phase")
    dock.refresh_now()
    assert step.isVisibleTo(dock)
    assert dock.preview.request.reconstruct is None
    viewer.layers[0].name = "cells · phase"
    dock._offer_layers()
    dock.refresh_now()
    assert not step.isVisibleTo(dock)


def test_optics_are_asked_for_and_go_into_the_request(dock, viewer, ran):
    dock.shelf.offer("of-phase")
    dock.refresh_now()
    step = dock.form.phase
    step.tick.native("on").click()
    dock.refresh_now()
    assert dock.preview.plan is None
    assert "aperture of the objective" in dock.form.foot.status.text()
    fill_in(step.optics)
    dock.refresh_now()
    assert not dock.form.foot.message.is_error
    ran(dock)
    asked = predictions(viewer)[0].metadata[KEY]["request"]
    assert asked["reconstruct"] == "phase"
    assert asked["na_condenser"] == 0.4
    fill_in(step.optics, OpticsOptions(0.8, 0.3, 0.6, 1.33))
    dock.refresh_now()
    assert not dock.layers.fits  # What is shown is of other phase
    assert optics.remembered() == CHOSEN


def test_what_an_opened_prediction_was_made_with_is_chosen(dock, viewer):
    other = viewer.add_image(stack(seed=1), name="others", **DENSE)
    dock.shelf.offer("of-phase")
    dock.refresh_now()
    dock.form.phase.choose(CHOSEN)  # As for opened layers, before their stack is read
    dock._offer_layers()
    dock.form.input.choose_layer(layer_key(other))
    dock.refresh_now()
    assert dock.form.state().optics == CHOSEN


def test_a_preview_shows_one_plane_of_phase(dock, qtbot):
    dock.shelf.offer("of-phase")
    dock.refresh_now()
    step = dock.form.phase
    step.tick.native("on").click()
    step.preview.button.click()
    assert "aperture of the objective" in step.preview.note.text()
    fill_in(step.optics)
    step.preview.button.click()
    qtbot.waitUntil(lambda: not step.preview.busy)
    light, phase = (one.pixmap() for one in step.preview.pictures)
    assert light.size() == phase.size()
    assert light.toImage() != phase.toImage()


def test_the_command_names_the_optics(dock, qtbot, tmp_path, monkeypatch):
    dock.shelf.offer("of-phase")
    dock.refresh_now()
    dock.form.phase.choose(CHOSEN)
    dock.refresh_now()
    from napari_sparsessp.prediction.command_line import command_of

    words = command_of(dock.preview.request, "out.ome.tif")
    for word in ("--reconstruct=phase", "--na=0.8", "--wavelength=0.6"):
        assert word in words


@pytest.fixture
def dialog(viewer):
    opened = []

    def go():
        opened.append(phase_layer(viewer))
        return opened[-1]

    yield go
    for one in opened:
        one.close()
        QApplication.processEvents()


def test_a_layer_of_phase_lies_where_its_stack_lies(viewer, dialog, qtbot):
    source = viewer.add_image(stack(), name="cells", translate=(1, 2, 3), **DENSE)
    window = dialog()
    window.start_button.click()
    assert "aperture of the objective" in window.status.text()
    fill_in(window.form)
    window.start_button.click()
    qtbot.waitUntil(lambda: not window.busy)
    made = viewer.layers["cells · phase"]
    expected = reconstruct_phase(stack(), VOXEL, OPTICS)
    np.testing.assert_allclose(made.data, expected, atol=1e-5)
    for name in ("scale", "translate", "units", "axis_labels"):
        assert np.array_equal(getattr(made, name), getattr(source, name))
    assert window.of_layer.text() == "From cells"  # Not of what it has made
    assert dialog().form.values() == CHOSEN  # It is remembered


def test_a_time_lapse_stays_lazy(viewer, dialog, qtbot):
    lapse = np.stack([stack(seed=k) for k in range(3)])
    place = {"scale": (1, *VOXEL), "units": ("s", *("um",) * 3)}
    viewer.add_image(lapse, name="lapse", axis_labels=("t", "z", "y", "x"), **place)
    viewer.dims.set_current_step(0, 1)
    window = dialog()
    fill_in(window.form)
    window.start_button.click()
    qtbot.waitUntil(lambda: not window.busy)
    made = viewer.layers["lapse · phase"]
    assert hasattr(made.data, "dask")
    expected = reconstruct_phase(lapse[2], VOXEL, OPTICS)
    np.testing.assert_allclose(np.asarray(made.data[2]), expected, atol=1e-5)


def test_stop_is_at_once_and_makes_no_layer(viewer, dialog, qtbot, monkeypatch):
    viewer.add_image(stack(), name="cells", **DENSE)

    def endless(*job):
        while True:
            job[-1](0.5, None, "phase")

    monkeypatch.setattr(phase_dialog, "make_phase", endless)
    window = dialog()
    fill_in(window.form)
    window.start_button.click()
    qtbot.waitUntil(lambda: "hase" in window.status.text())
    window.close_button.click()
    assert not window.busy
    assert "no layer" in window.status.text()
    assert len(viewer.layers) == 1
