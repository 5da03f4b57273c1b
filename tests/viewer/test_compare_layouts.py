"""What the Compare dock shows in a real viewer, and the way back."""

import numpy as np
import pytest

from compared import (
    CUBES,
    add_prediction,
    choose,
    counts,
    predicted,
    press,
    roles,
    tick,
)
from fake_engine import light
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.layers.metadata import COMPOSED, ERROR, KEY, role_of

pytestmark = pytest.mark.painted


def test_a_layout_is_undone_wholly(stacks, viewer, compare):
    from napari_sparsessp.ui.napari_compat import camera_of, grid_of, scale_bar_of

    dock = compare()
    viewer.layers["dna · predicted"].opacity = 0.7
    camera_of(viewer).zoom = 3.25
    grid_of(viewer).stride = 2

    def state():
        looks = [
            (layer.name, layer.visible, layer.opacity, layer.name_overlay.visible)
            for layer in viewer.layers
            if role_of(layer) not in (ERROR, COMPOSED)
        ]
        camera, grid = camera_of(viewer), grid_of(viewer)
        return (
            looks,
            camera.zoom,
            camera.center,
            (grid.enabled, grid.stride, grid.shape, grid.spacing),
            scale_bar_of(viewer).visible,
        )

    before = state()
    limits = tuple(viewer.layers["dna · truth"].contrast_limits)
    for view in ("side", "gallery", "overlay", "swipe", "checkerboard", "side"):
        press(dock, view)
        compare.wait(dock)
        assert dock.view.layouts.current == view
        assert dock.form.picker.buttons[view].isChecked()
        viewer.dims.ndisplay = 3
        dock.form.composition.magic("fields").value = 5
        viewer.dims.ndisplay = 2
    press(dock, "")
    assert state() == before
    assert tuple(viewer.layers["dna · truth"].contrast_limits) == limits
    assert viewer.canvas.background_color_override is None
    assert not roles(viewer, COMPOSED)
    assert not any(layer.visible for layer in roles(viewer, ERROR))


def test_side_by_side_is_light_truth_prediction_and_the_error_of_the_chosen_one(
    stacks, viewer, compare
):
    truths, found = stacks
    dock = compare()
    tick(dock, "dna")
    choose(dock, "dna")
    press(dock, "side")
    compare.wait(dock)
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["bright-field", "dna · truth", "dna · predicted", "DNA · error"]
    (error,) = roles(viewer, ERROR)
    expected = found["dna"] - zscore_truth(truths["dna"])
    np.testing.assert_allclose(error.data, expected, atol=1e-6)
    low, high = error.contrast_limits
    assert low == -high
    assert viewer.layers.units is not None


def test_the_border_can_be_dragged_in_the_picture(stacks, viewer, compare):
    from types import SimpleNamespace

    before = [list(viewer.mouse_drag_callbacks), list(viewer.mouse_move_callbacks)]
    dock = compare()
    tick(dock, "dna")
    press(dock, "swipe")
    compare.wait(dock)
    composed = dock.view.layers.composed()["dna"]
    plane = composed.data[2]
    np.testing.assert_allclose(
        plane[:, 16:], viewer.layers["dna · predicted"].data[2][:, 16:]
    )
    drag = viewer.mouse_drag_callbacks[-1]
    event = SimpleNamespace(type="mouse_press", position=(0.58, 2.0, 0.29 * 15.5))
    moves = drag(viewer, event)
    next(moves)
    event.type, event.position = "mouse_move", (0.58, 2.0, 0.29 * 7.5)
    next(moves)
    assert dock.form.composition.get("border") == 0.25
    assert composed.data.pattern(1, 32).sum() == 8
    event.type = "mouse_release"
    assert list(moves) == []
    far = SimpleNamespace(type="mouse_press", position=(0.58, 2.0, 0.29 * 31))
    assert list(drag(viewer, far)) == []  # napari's own: it moves the picture
    press(dock, "")
    after = [list(viewer.mouse_drag_callbacks), list(viewer.mouse_move_callbacks)]
    assert after == before


def test_a_foreign_prediction_is_composed_in_the_units_of_the_truth(
    stacks, viewer, compare
):
    """An image in the camera's units, and what is lit of both looks alike."""
    truths, _ = stacks
    layer = viewer.layers["dna · predicted"]
    about = {
        name: one for name, one in layer.metadata[KEY].items() if name != "request"
    }
    layer.metadata = {KEY: about}
    layer.data = truths["dna"] + 1
    dock = compare()
    tick(dock, "dna")
    press(dock, "swipe")
    compare.wait(dock)
    composed = dock.view.layers.composed()["dna"]
    wanted = zscore_truth(truths["dna"])
    shift = 1 / truths["dna"].std()
    np.testing.assert_allclose(
        composed.data[2][:, 16:], wanted[2][:, 16:] + shift, 1e-4
    )
    np.testing.assert_allclose(composed.data[2][:, :16], wanted[2][:, :16], 1e-4)
    low, high = composed.contrast_limits
    assert wanted.min() < low < high < wanted.max()


def test_an_uncertainty_has_a_cell_where_there_is_one(stacks, viewer, compare):
    layer = viewer.layers["dna · predicted"]
    about = {**layer.metadata[KEY], "role": "uncertainty", "channel": "dna_std"}
    viewer.add_image(
        layer.data**2, name="DNA ± std", visible=False, metadata={KEY: about}, **CUBES
    )
    dock = compare()
    tick(dock, "dna")
    choose(dock, "dna")
    press(dock, "side")
    compare.wait(dock)
    assert not viewer.layers["DNA ± std"].visible
    dock.form.cells.native("uncertainty").click()
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown[-2:] == ["DNA · error", "DNA ± std"]
    dock.form.cells.native("error").click()
    assert "DNA · error" not in [one.name for one in viewer.layers if one.visible]


def test_a_truth_of_one_plane_stays_fresh_while_it_is_spread(viewer, compare):
    source = viewer.add_image(light(5, 24, 32), name="phase", scale=(2, 1, 1))
    truth = counts(1)
    viewer.add_image(truth, name="DAPI · truth", visible=False)
    add_prediction(
        viewer, source, "dapi", predicted(truth), scale=(10, 1, 1), units=("pixel",) * 3
    )
    dock = compare()
    (row,) = dock.form.table.rows
    assert row.scores == score(viewer.layers["dapi · predicted"].data, truth)
    press(dock, "side")
    compare.wait(dock)
    press(dock, "side")
    compare.wait(dock)
    (error,) = roles(viewer, ERROR)
    assert error.visible
    assert not error.name.endswith("outdated")
    assert dock.comparison.agreement("dapi") is not None


def test_predict_and_compare_share_one_view(stacks, viewer, compare, engine):
    predict = open_predict(viewer)
    dock = compare()
    press(dock, "overlay")
    assert predict.form.foot.layouts.value() == "overlay"
    press(dock, "gallery")
    assert predict.form.foot.layouts.value() == ""
    assert predict.form.foot.restore_button.isEnabled()
    predict.form.foot.restore_button.click()
    assert dock.view.layouts.current is None
    assert not dock.form.picker.buttons[""].isEnabled()


def test_a_movie_shows_every_plane_and_the_slider_comes_back(
    stacks, viewer, compare, qtbot, tmp_path, monkeypatch
):
    from PIL import Image

    dock = compare()

    def picture():  # a hidden window paints once: as bright as the plane is deep
        plane = round(viewer.dims.point[0] / 0.29)
        return np.full((30, 40, 3), 20 * (plane + 1), np.uint8)

    monkeypatch.setattr(dock.filming, "picture", picture)
    viewer.dims.set_point(0, 2 * 0.29)
    for name in ("z.gif", "z.tif"):
        dock.save("z", tmp_path / name)
        qtbot.waitUntil(
            lambda name=name: f"Saved {name}" in dock.form.foot.status.text()
        )
        with Image.open(tmp_path / name) as movie:
            seen = []
            for number in range(movie.n_frames):
                movie.seek(number)
                seen.append(movie.convert("RGB").getpixel((5, 5))[0])
        assert seen == pytest.approx([20, 40, 60, 80, 100, 120], abs=3)
        assert viewer.dims.point[0] == pytest.approx(2 * 0.29)
    dock.save("time", tmp_path / name)
    assert "no time points" in dock.form.foot.message.text.text()
    dock.save("picture", tmp_path / "view.png")
    qtbot.waitUntil(lambda: "Saved view.png" in dock.form.foot.status.text())
    with Image.open(tmp_path / "view.png") as view:
        assert view.getpixel((5, 5)) == (60, 60, 60)


def test_a_movie_can_be_cancelled(stacks, viewer, compare, tmp_path):
    dock = compare()
    dock.save("z", tmp_path / "z.gif")
    dock.cancel()
    assert not dock.filming.busy
    assert dock.form.foot.cancel_button.isHidden()
    assert list(tmp_path.iterdir()) == []


def test_the_cells_are_seen_from_the_side_and_the_way_back_is_whole(
    stacks, viewer, compare
):
    dock = compare()
    before = viewer.dims.order
    for view in ("side", "swipe"):
        press(dock, view)
        compare.wait(dock)
        for section, displayed in (("xz", (0, 2)), ("yz", (1, 0)), ("xy", (1, 2))):
            dock.form.section.button(section).click()
            assert viewer.dims.displayed == displayed
    border = viewer.layers["border · drag it"]
    dock.form.section.button("xz").click()
    assert not border.visible, "it lies in y and x"
    dock.planes.look()
    assert dock.form.section.value() == "xz"
    press(dock, "")
    assert viewer.dims.order == before
    dock.planes.look()
    assert dock.form.section.value() == "xy"


def test_a_structure_with_a_truth_comes_first_and_a_missing_error_is_explained(
    stacks, viewer, compare
):
    viewer.layers.remove("dna · truth")
    dock = compare()
    assert dock.form.table.structure() == "nucleolus"
    press(dock, "side")
    compare.wait(dock)
    assert viewer.layers["Nucleolus · error"].visible
    assert "underestimated" in dock.form.view_note.text()
    choose(dock, "dna")
    assert "DNA has no truth; choose one" in dock.form.view_note.text()
    dock.form.cells.native("error").click()
    assert dock.form.view_note.isHidden()
