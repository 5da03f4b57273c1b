"""What is on screen belongs to one run: a stack, a model, a ratio and its options."""

import numpy as np
import pytest

from fake_engine import MICRO, card, light
from images import write_stack
from napari_sparsessp.ui.layers.metadata import KEY
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.predict.form import RunState
from predicted import predictions

DENSE = {"scale": (0.29,) * 3, "units": ("um",) * 3}
SCORES = {"dna": {"r2": 0.5, "pcc": 0.7}}


def scores(dock):
    dock.refresh_now()
    rows = dock.form.structures.rows
    return {row.structure.id: row.scores for row in rows if row.scores}


def shown(viewer):
    return {layer.name for layer in viewer.layers if layer.visible}


def cells(viewer):
    return [
        {viewer.layers[i].name for i in indices if viewer.layers[i].visible}
        for _, indices in viewer.canvas.grid.iter_viewboxes(viewer.layers)
    ]


@pytest.fixture
def scored(dock, viewer, ran):
    """A dock that has predicted DNA at r = 4 and compared it with a truth."""
    viewer.add_image(light(32), name="Hoechst", visible=False, **DENSE)
    dock.refresh_now()
    dock.form.structures.tick(("dna",))
    ran(dock)
    assert scores(dock) == SCORES
    return dock


@pytest.fixture
def opened(viewer, engine, tmp_path, qtbot):
    """`opened(name)`: a dock after it has opened a stack, with its DNA, from a file."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Predict")
    dock.form.structures.tick(("dna",))

    def go(name):
        both = np.stack([light(8, 40, 48), light(8, 40, 48, seed=1)])
        names = ["bright-field", "DNA"] if name == "stack_a" else ["bright-field", "x"]
        path = write_stack(
            tmp_path / f"{name}.ome.tif", both, "CZYX", (1.16, 0.29, 0.29), names
        )
        with qtbot.waitSignal(dock._files.opened):
            dock._files.open(path)
        dock.refresh_now()
        return dock

    return go


def test_scores_truths_layers_and_layouts_go_with_their_stack_and_come_back(
    opened, viewer, ran, qtbot
):
    dock = opened("stack_a")
    first = dock.form.input.layer_key()
    ran(dock)
    assert scores(dock) == SCORES
    dock.view.show("side")
    mine = {"stack_a · bright-field", "DNA · predicted · stack_a"}
    assert mine < shown(viewer)
    opened("stack_b")
    assert scores(dock) == {}
    assert dock.form.structures.truths() == {}  # the DNA of stack_a lies there too
    assert dock.view.layouts.current is None
    assert not viewer.canvas.grid.enabled
    assert not any("stack_a" in name for name in shown(viewer))
    ran(dock)
    qtbot.waitUntil(lambda: dock.view.layouts.current == "overlay")
    assert scores(dock) == {}
    assert "mean R²" not in dock.form.foot.status.text()
    assert shown(viewer) >= {"stack_b · bright-field", "DNA · predicted · stack_b"}
    assert not any("stack_a" in name for name in shown(viewer))
    dock.form.input.choose_layer(first)
    assert scores(dock) == SCORES
    assert mine <= shown(viewer)
    assert not any("stack_b" in name for name in shown(viewer))
    viewer.layers.clear()
    assert scores(dock) == {}
    assert dock.view.layouts.current is None


def test_another_stack_that_was_only_opened_is_hidden_once_one_of_them_runs(
    opened, viewer, ran
):
    dock = opened("stack_a")
    opened("stack_b")
    assert "stack_a · bright-field" in shown(viewer)
    ran(dock)
    assert "stack_a · bright-field" not in shown(viewer)
    assert "R²" not in dock.form.foot.status.text()


def other_model(dock, viewer, engine):
    engine.the_cards.append(card(id="other", structures=("dna",)))
    dock.shelf.offer("other")


CHANGES = {
    "model": other_model,
    "ratio": lambda dock, *_: dock.form.sampling.set_ratio(8.0),
    "options": lambda dock, *_: dock.form.options.rows.update(tta=True),
    "voxel size": lambda dock, *_: dock.form.input.type_voxel_size((1.2, 0.3, 0.3)),
    "image": lambda _, viewer, __: setattr(viewer.layers[0], "data", light(seed=1)),
    "place": lambda _, viewer, __: setattr(viewer.layers[0], "translate", (1, 0, 0)),
    "truth": lambda _, viewer, __: setattr(viewer.layers[1], "data", light(32, seed=1)),
    "no truth": lambda _, viewer, __: viewer.layers.remove("Hoechst"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_scores_go_the_moment_that_what_they_were_reached_with_changes(
    scored, viewer, engine, change
):
    assert "mean R²" in scored.form.foot.status.text()
    CHANGES[change](scored, viewer, engine)
    assert scores(scored) == {}
    assert "mean R²" not in scored.form.foot.status.text()


def test_until_another_run_the_status_says_what_is_on_screen(scored, viewer, engine):
    other_model(scored, viewer, engine)
    scored.form.device.changed.emit()
    assert scores(scored) == {}
    assert scored.form.foot.status.text().endswith("· shown: r 4 · colony-3to2d")
    scored.shelf.offer("colony-3to2d")
    assert scores(scored) == SCORES


def test_a_run_with_another_ratio_has_layers_of_its_own_beside_the_first(
    engine, viewer, predict_on, ran
):
    dock = predict_on(light(32), **DENSE)
    viewer.add_image(light(32), name="Hoechst", visible=False, **DENSE)
    dock.form.structures.tick(("dna",))
    dock.form.sampling.set_simulate(True)
    made = {}
    for ratio in (1.0, 8.0):
        dock.form.sampling.set_ratio(ratio)
        dock.refresh_now()
        ran(dock)
        assert scores(dock) == SCORES
        made[ratio] = dock.layers.layer("dna")
    names = {ratio: f"DNA · r {ratio:g} · colony-3to2d" for ratio in made}
    assert {one.name for one in predictions(viewer)} == set(names.values())
    assert {r: made[r].name for r in made} == names
    assert [made[ratio].metadata[KEY]["ratio"] for ratio in made] == [1.0, 8.0]
    assert [one.visible for one in made.values()] == [False, True]
    dock.view.show("side")
    assert cells(viewer) == [{"bright-field"}, {"Hoechst"}, {names[8.0]}, {names[1.0]}]
    limits = {tuple(one.contrast_limits) for one in made.values()}
    assert len(limits) == 1
    dock.view.show("overlay")
    assert names[1.0] not in shown(viewer)
    ran(dock)  # the same again
    assert len(predictions(viewer)) == 2
    dock.form.sampling.set_ratio(1.0)
    assert scores(dock) == SCORES
    assert [one.visible for one in made.values()] == [True, False]
    assert dock.layers.layer("dna") == made[1.0]


def test_layers_that_the_user_has_named_keep_their_names(scored, viewer, ran):
    predictions(viewer)[0].name = "my nuclei"
    scored.form.options.rows.update(tta=True)
    scored.refresh_now()
    ran(scored)
    names = {one.name for one in predictions(viewer)}
    assert names == {"my nuclei", "DNA · r 4 · colony-3to2d · averaged"}


# what must not stand in the way, or stay behind ---------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 32, 96, 128), (4, 96, 128)])
def test_a_truth_that_cannot_be_used_is_left_out_with_a_word(dock, viewer, ran, shape):
    odd = viewer.add_image(np.zeros(shape, np.uint8), name="odd")
    odd.scale = (1,) * (odd.ndim - 3) + (0.5, 0.5, 0.5)
    dock.refresh_now()
    dock.form.structures.choose_truth(4, layer_key(odd))
    dock.refresh_now()
    assert "'odd' gives no R²: " in dock.form.foot.message.text.text()
    assert dock.form.foot.state is RunState.READY
    ran(dock)
    assert "Done" in dock.form.foot.status.text()
    assert scores(dock) == {}


def test_a_deleted_stack_cancels_with_a_message(dock, viewer, engine, finish, qtbot):
    engine.tile, engine.wait_at = 32, 3
    dock.form.structures.tick(("dna",))
    dock.run()
    qtbot.waitUntil(lambda: len(engine.computed) == 3)
    viewer.layers.remove("bright-field")
    finish(dock)
    dock.refresh_now()
    said = dock.form.foot.message.text.text()
    assert said == "The run ended: 'bright-field' was deleted."
    assert dock.form.foot.status.text().startswith("Cancelled: 3 of 12 tiles")
    assert dock.form.foot.state is RunState.BLOCKED


def test_a_run_that_fails_or_ends_before_its_first_tile_leaves_no_layers(
    dock, viewer, engine, ran
):
    engine.fail_at = 0
    ran(dock)
    assert dock.form.foot.message.is_error
    assert predictions(viewer) == []
    assert shown(viewer) == {"bright-field"}


# looking at it -----------------------------------------------------------------


def test_in_3d_transmitted_light_does_not_cover_what_was_predicted(scored, viewer):
    made = scored.layers.layer("dna")
    assert made.rendering == "attenuated_mip"
    scored.view.show("overlay")
    viewer.dims.ndisplay = 3
    assert not viewer.layers["bright-field"].visible
    assert made.visible
    viewer.dims.ndisplay = 2
    assert viewer.layers["bright-field"].visible


@pytest.mark.painted
def test_napari_arranges_its_scene_once_for_a_layout(dock, viewer, ran, monkeypatch):
    from napari._vispy.canvas import VispyCanvas

    for name in ("DNA", "mitochondria", "membrane"):
        viewer.add_image(light(32), name=name, visible=False, **DENSE)
    dock.refresh_now()
    ran(dock)
    arranged, arrange = [], VispyCanvas._reorder_layers
    monkeypatch.setattr(
        VispyCanvas, "_reorder_layers", lambda one: (arranged.append(1), arrange(one))
    )
    for name in ("side", "overlay"):
        arranged.clear()
        dock.view.show(name)
        assert len(arranged) == 1, name
    arranged.clear()
    dock.view.restore()
    assert len(arranged) == 1


def test_another_stack_of_one_world_is_left_alone(dock, viewer, ran):
    """Nothing says that a second image in memory is another stack's."""
    viewer.add_image(light(seed=2), name="phase contrast", **MICRO)
    dock.refresh_now()
    dock.form.structures.tick(("dna",))
    ran(dock)
    assert "phase contrast" in shown(viewer)
