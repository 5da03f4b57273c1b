"""The dock before and after running: what is offered, found, refused and arranged."""

import numpy as np
import pytest

from fake_engine import MICRO, light
from napari_sparsessp.ui.layers.metadata import truth_of
from napari_sparsessp.ui.predict.form import RunState
from napari_sparsessp.ui.widgets.basic import Mark, Step


def said(dock):
    dock.refresh_now()
    return dock.form.foot.message.text.text()


def test_a_sparse_stack_is_ready_at_once(dock):
    form = dock.form
    assert form.foot.state is RunState.READY
    assert "1 plane in 4" in form.sampling_step.headline.text()
    assert form.sampling.sentence.text().startswith("8 planes measured, 32 predicted")
    assert [step.mark for step in form.findChildren(Step)] == [Mark.GOOD] * 5


def test_transmitted_light_goes_before_stains(viewer, engine):
    viewer.add_image(light(), name="DAPI", **MICRO)
    viewer.add_image(light(), name="Bright-field", **MICRO)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    assert dock.form.input.layer_box.currentText() == "Bright-field"


def test_truth_layers_are_matched_by_name(dock, viewer, ran):
    viewer.add_image(light(32), name="Hoechst", scale=(0.29,) * 3, units=("um",) * 3)
    dock.refresh_now()
    assert (
        dock.form.structures.layer_name(dock.form.structures.truths()["dna"])
        == "Hoechst"
    )
    ran(dock)
    row = next(r for r in dock.form.structures.rows if r.structure.id == "dna")
    assert row.scores == {"r2": 0.5, "pcc": 0.7}
    assert "mean R² 0.50 of 1" in dock.form.foot.status.text()


def test_a_namesake_elsewhere_is_left_out_not_in_the_way(dock, viewer, ran):
    viewer.add_image(
        light(4), name="DAPI", scale=(9, 9, 9), units=("um",) * 3, translate=(900, 0, 0)
    )
    assert "gives no R²" in said(dock)
    assert dock.form.foot.state is RunState.READY
    ran(dock)
    assert truth_of(dock.layers.layer("dna")) is None


# one plan for one run ---------------------------------------------------------


def test_the_plan_of_the_preview_is_the_one_that_runs(dock, engine, ran):
    plan, planned = dock.preview.plan, engine.planned
    ran(dock)
    dock.refresh_now()
    assert engine.ran == [plan]
    assert engine.planned == planned


def test_a_plan_is_made_again_when_what_it_depends_on_changes(dock, viewer, engine):
    source, form = viewer.layers[0], dock.form
    truth = viewer.add_image(light(32), name="DNA", scale=(0.29,) * 3)
    truth.units = ("um",) * 3
    dock.refresh_now()
    for name, change in {
        "ratio": lambda: form.sampling.set_ratio(4.0),
        "ticks": lambda: form.structures.tick(("dna",)),
        "memory": lambda: form.options.rows.update(memory_gb=3.0),
        "image": lambda: setattr(source, "data", light(seed=1)),
        "place": lambda: setattr(source, "translate", (1, 0, 0)),
        "truth": lambda: setattr(truth, "data", light(32, seed=1)),
        "no truth": lambda: setattr(truth, "name", "another stain"),
        "scale": lambda: setattr(source, "scale", (1.2, 0.29, 0.29)),
    }.items():
        plan = dock.preview.plan
        change()
        dock.refresh_now()
        assert dock.preview.plan is not None, name
        assert dock.preview.plan is not plan, name
    plan = dock.preview.plan
    viewer.add_image(light(3), name="something else")
    source.visible = False
    viewer.layers.reverse()
    form.structures.set_visible("dna", False)
    dock.refresh_now()
    assert dock.preview.plan is plan


# bad input: one clear message, Run off ----------------------------------------


UNSCALED = {"scale": None, "units": None}


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((20, 30, 3), np.uint8), "RGB"),
        (np.zeros((20, 30), np.uint8), "one plane"),
        (None, "Open a z-stack"),
    ],
    ids=["RGB", "plane", "nothing"],
)
def test_what_is_no_stack_is_refused_with_advice(engine, predict_on, array, words):
    dock = predict_on(array, **UNSCALED, rgb=words == "RGB")
    assert words in said(dock) + dock.form.foot.status.text()
    assert dock.form.foot.state is RunState.BLOCKED


def test_several_channels_and_none_chosen(engine, predict_on):
    dock = predict_on(np.zeros((3, 8, 20, 30), np.uint8), **UNSCALED)
    assert "Choose the channel" in dock.form.foot.status.text()
    assert dock.form.foot.state is RunState.BLOCKED
    dock.form.input.channel_box.setCurrentIndex(1)
    dock.refresh_now()
    assert dock.form.foot.state is RunState.READY
    assert dock.preview.request.channel == 1


def test_a_form_that_cannot_run_says_why_until_it_can(dock):
    for ratio, why in ((0.5, "at least 1"), (8.0, "contradicts the voxel size")):
        dock.form.sampling.set_ratio(ratio)
        assert why in said(dock)
        assert dock.form.foot.message.is_error
        assert dock.form.sampling_step.mark is Mark.BAD
    dock.form.sampling.set_ratio(None)
    assert said(dock) == ""
    assert dock.form.foot.state is RunState.READY
    dock.form.none_button.click()
    dock.refresh_now()
    assert dock.form.foot.state is RunState.BLOCKED
    assert "Tick at least one" in dock.form.foot.status.text()


def test_unknown_voxel_size_asks_and_warns(engine, predict_on):
    dock = predict_on(light(), **UNSCALED)
    assert "unknown" in said(dock)
    assert dock.form.foot.state is RunState.READY
    assert dock.form.stack_step.mark is Mark.WARN
    dock.form.input.type_voxel_size((1.16, 0.29, 0.29))
    assert said(dock) == ""
    assert dock.preview.request.voxel_size == (1.16, 0.29, 0.29)
    assert "1 plane in 4" in dock.form.sampling_step.headline.text()


# layouts ----------------------------------------------------------------------


@pytest.fixture
def compared(viewer, engine, ran):
    """A finished prediction with all truths."""
    viewer.add_image(light(), name="bright-field", **MICRO)
    for name in ("DNA", "mitochondria", "membrane", "golgi"):
        viewer.add_image(
            light(32), name=name, scale=(0.29,) * 3, units=("um",) * 3, visible=False
        )
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    viewer.canvas.grid.stride = 2
    ran(dock)
    return viewer, dock


def cells(viewer):
    grid = viewer.canvas.grid
    return [
        {viewer.layers[i].name for i in indices if viewer.layers[i].visible}
        for _, indices in grid.iter_viewboxes(viewer.layers)
    ]


def test_overlay_is_colours_on_light_side_by_side_light_truth_prediction(compared):
    viewer, dock = compared
    assert not viewer.canvas.grid.enabled
    shown = {layer.name for layer in viewer.layers if layer.visible}
    assert {"bright-field", "DNA · predicted", "Mitochondria · predicted"} <= shown
    assert "DNA" not in shown
    dock.view.show("side")
    assert cells(viewer) == [
        {"bright-field"},
        {"DNA", "mitochondria", "membrane"},
        {"DNA · predicted", "Mitochondria · predicted", "Cell membrane · predicted"},
    ]
    for id_ in ("mitochondria", "cell_membrane"):
        dock.form.structures.set_visible(id_, False)
    assert cells(viewer) == [{"bright-field"}, {"DNA"}, {"DNA · predicted"}]


def test_side_by_side_shows_truth_on_the_scale_of_the_prediction(compared):
    viewer, dock = compared
    truth, predicted = viewer.layers["DNA"], dock.layers.layer("dna")
    before = tuple(truth.contrast_limits)
    dock.view.show("side")
    mean, spread = truth.data.mean(), truth.data.std()
    predicted.contrast_limits = (-1, 3)
    assert truth.contrast_limits == pytest.approx(
        (mean - spread, mean + 3 * spread), rel=0.01
    )
    dock.view.show("overlay")
    assert tuple(truth.contrast_limits) == before
    predicted.contrast_limits = (0, 1)
    assert tuple(truth.contrast_limits) == before


def test_a_second_run_leaves_my_view_alone(compared, ran):
    viewer, dock = compared
    dock.view.restore()
    ran(dock)
    assert dock.view.layouts.current is None
    assert not dock.form.foot.restore_button.isEnabled()


def test_keys_run_and_cancel(dock, engine, finish):
    engine.pause, engine.tile = 0.05, 8
    dock.form.foot.press(RunState.RUNNING)
    assert dock.run_in_progress is None
    dock.form.foot.press(RunState.READY)
    assert dock.run_in_progress is not None
    dock.form.foot.press(RunState.RUNNING)
    finish(dock)
    assert "Cancelled" in dock.form.foot.status.text()
