"""The Compare dock in a real viewer, opened as users do."""

import json

import numpy as np
import pytest

from compared import (
    CUBES,
    add_prediction,
    choose,
    choose_truth,
    counts,
    predicted,
    press,
    roles,
    tick,
)
from fake_engine import MICRO, light
from napari_sparsessp.metrics import score, zscore_truth
from napari_sparsessp.ui.compare.comparison import SCORES
from napari_sparsessp.ui.layers.metadata import ERROR, KEY


def test_the_numbers_are_those_of_the_command_line(viewer, compare, tmp_path):
    from typer.testing import CliRunner

    from napari_sparsessp.cli.main import app
    from napari_sparsessp.io.reading import load_volume
    from napari_sparsessp.io.writing import write_prediction
    from napari_sparsessp.ui.layers.reading import layers_of
    from napari_sparsessp.volume import Volume

    fine = counts(6, 48, 64)  # of another pixel size: it has to be resampled
    coarse = predicted(fine[:, ::2, ::2])
    files = {
        "prediction": Volume(coarse[None], "CZYX", (0.29, 0.29, 0.29), ("dna",)),
        "truth": Volume(
            fine[None], "CZYX", (0.29, 0.145, 0.145), ("dna",), origin=(0, -0.07, 0)
        ),
    }
    for name, volume in files.items():
        write_prediction(tmp_path / f"{name}.ome.tif", volume, ["dna"])
    command = [str(tmp_path / f"{name}.ome.tif") for name in files]
    report = tmp_path / "report.json"
    done = CliRunner().invoke(app, ["evaluate", *command, "--report", str(report)])
    assert done.exit_code == 0, done.output
    expected = json.loads(report.read_text())["structures"]["dna"]
    source = viewer.add_image(light(2, 24, 32), name="bright-field", **MICRO)
    for name in files:
        ((data, attributes, _),) = layers_of(load_volume(tmp_path / f"{name}.ome.tif"))
        attributes["name"] = name
        if name == "prediction":
            keep = ("scale", "units", "translate")
            place = {key: attributes[key] for key in keep}
            add_prediction(viewer, source, "dna", np.asarray(data), **place)
        else:
            viewer.add_image(np.asarray(data), **{**attributes, "name": "DNA · truth"})
    dock = compare()
    (row,) = dock.form.table.rows
    assert row.scores.keys() == expected.keys()
    for key, value in expected.items():
        assert row.scores[key] == pytest.approx(value, abs=1e-9), key


def test_an_error_is_never_silently_stale(stacks, viewer, compare):
    truths, _ = stacks
    dock = compare()
    tick(dock, "dna")
    choose(dock, "dna")
    press(dock, "side")
    compare.wait(dock)
    press(dock, "")
    layer = viewer.layers["dna · predicted"]
    layer.data = predicted(truths["dna"], 2.0)
    (error,) = roles(viewer, ERROR)
    assert error.name.endswith("outdated")
    assert dock.comparison.agreement("dna") is None
    compare.wait(dock)
    press(dock, "side")
    compare.wait(dock)
    (error,) = roles(viewer, ERROR)
    assert error.name == "DNA · error"
    expected = layer.data - zscore_truth(truths["dna"])
    np.testing.assert_allclose(error.data, expected, atol=1e-6)


def test_two_models_are_kept_apart_and_what_runs_is_not_scored(stacks, viewer, compare):
    truths, _ = stacks
    source = viewer.layers["bright-field"]
    noisy = predicted(truths["dna"], 3.0)
    other = add_prediction(viewer, source, "dna", noisy, model="other")
    about = other.metadata[KEY]
    other.metadata = {KEY: {**about, "state": "running"}}
    dock = compare()
    box = dock.form.compared.native("key")
    labels = [box.itemText(row) for row in range(2)]
    assert labels == ["bright-field · thin", "bright-field · other"]
    first = dock.form.table.rows[0].scores["r2"]
    box.setCurrentIndex(1)
    dock.refresh_now()
    assert dock.comparison.state("dna") == "predicting"
    assert dock.comparison.agreement("dna") is None
    other.metadata = {KEY: {**about, "state": "cancelled"}}
    compare.wait(dock)
    (row,) = dock.form.table.rows
    assert row.scores["r2"] < first - 1
    choose(dock, "dna")
    assert "not complete" in dock.form.foot.message.text.text()


def test_another_truth_gives_other_scores(stacks, viewer, compare):
    dock = compare()
    choose(dock, "dna")
    before = dock.form.table.rows[0].scores
    choose_truth(dock, "nucleolus · truth")
    dock.refresh_now()
    compare.wait(dock)
    assert dock.form.table.rows[0].scores["r2"] < before["r2"] - 0.5
    about = viewer.layers["dna · predicted"].metadata[KEY]
    assert about["truth_id"] == str(viewer.layers["nucleolus · truth"].unique_id)
    assert about["scores"] == dock.form.table.rows[0].scores
    choose_truth(dock, "none")
    dock.refresh_now()
    assert dock.comparison.state("dna") == "no truth"


def test_of_a_time_lapse_the_time_on_screen_is_compared(viewer, compare, qtbot):
    place = {"scale": (1, 0.29, 0.29, 0.29), "units": ("pixel", "um", "um", "um")}
    truth = np.stack([counts(4) for _ in range(3)])
    found = np.stack([predicted(one, 0.3 + n) for n, one in enumerate(truth)])
    source = viewer.add_image(
        np.stack([light(4, 24, 32)] * 3), name="bright-field", **place
    )
    viewer.add_image(truth, name="DNA · truth", **place)
    add_prediction(viewer, source, "dna", found, **place)
    viewer.dims.set_point(0, 0)
    dock = compare()
    for time in (0, 2):
        viewer.dims.set_point(0, time)
        dock.planes.look()
        compare.wait(dock)
        (row,) = dock.form.table.rows
        assert row.scores == score(found[time], truth[time])
        press(dock, "side")
        compare.wait(dock)
        (error,) = roles(viewer, ERROR)
        assert error.name == f"DNA · error · time {time + 1}"
        np.testing.assert_allclose(
            error.data, found[time] - zscore_truth(truth[time]), atol=1e-6
        )


def test_a_truth_of_another_field_is_an_error_and_the_rest_is_scored(
    stacks, viewer, compare
):
    viewer.layers["dna · truth"].translate = (0, 500, 0)
    dock = compare()
    choose(dock, "dna")
    assert "covers only 0%" in dock.form.foot.message.text.text()
    states = {
        row.id: (row.state, row.scores is not None) for row in dock.form.table.rows
    }
    assert states == {"dna": ("cannot", False), "nucleolus": ("", True)}


def test_scores_that_were_cancelled_wait_until_they_are_asked_for(
    stacks, viewer, compare
):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Compare")
    dock.refresh_now()
    dock.compute()
    dock.cancel()
    dock.compute(asked=False)
    assert not dock.comparison.queue.busy
    assert not dock.form.compute_button.isHidden()
    dock.form.compute_button.click()
    compare.wait(dock)
    assert all(row.scores for row in dock.form.table.rows)
    assert dock.form.compute_button.isHidden()


def test_layers_may_go_while_they_are_compared(stacks, viewer, compare):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Compare")
    dock.refresh_now()
    for id_ in ("dna", "nucleolus"):
        dock.comparison.compute(SCORES, id_)
        dock.comparison.compute(ERROR, id_)
    viewer.layers.remove("dna · predicted")
    viewer.layers.remove("nucleolus · truth")
    dock.refresh_now()
    compare.wait(dock)
    (row,) = dock.form.table.rows
    assert (row.id, row.state) == ("nucleolus", "no truth")
    viewer.layers.clear()
    dock.refresh_now()
    assert not dock.form.nothing.isHidden()
    assert dock.form.view_step.isHidden()
    assert not dock.form.foot.isEnabled()


def test_a_comparison_is_saved_or_says_why_not(stacks, compare, qtbot, tmp_path):
    dock = compare()
    for name in ("scores.csv", "scores.json", "scores.html", "scores.png"):
        kind = "figure" if name.endswith("png") else name.partition(".")[2]
        dock.save(kind, tmp_path / name)
        qtbot.waitUntil(
            lambda name=name: f"Saved {name}" in dock.form.foot.status.text()
        )
        assert (tmp_path / name).stat().st_size > 50
    content = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert content["structures"]["dna"] == dock.comparison.scores("dna")
    assert content["truth"]["dna"] == "dna · truth"
    dock.save("json", tmp_path / "no such folder" / "scores.json")
    qtbot.waitUntil(lambda: dock.form.foot.message.is_error)
    assert "annot write" in dock.form.foot.message.text.text()


def test_a_click_on_a_plane_goes_there_and_the_line_follows(stacks, viewer, compare):
    dock = compare()
    heard = []
    dock.planes.plane_changed.connect(heard.append)
    dock.form.planes.clicked.emit(3.6)
    dock.planes.look()
    assert heard[-1] == pytest.approx(4.0)
    assert viewer.dims.point[0] == pytest.approx(4 * 0.29)
    assert dock.form.planes.curves[0].y == pytest.approx(
        dock.form.table.rows[0].scores["r2_per_plane"]
    )


def test_regions_are_measured_saved_and_gone_with_their_truth(
    stacks, viewer, compare, qtbot, tmp_path
):
    truths, _ = stacks
    dock = compare()
    panel = dock.form.regions
    assert not panel.button.isEnabled()
    corners = [[2, 4, 4], [2, 4, 13], [2, 13, 13], [2, 13, 4]]
    line = [[2, 4, 4], [2, 4, 13]]
    kinds = {"shape_type": ["polygon", "line"], "name": "drawn"}
    drawn = viewer.add_shapes([corners, line], **kinds, **CUBES)
    tick(dock, "dna")
    panel.place.native("layer").setCurrentText("drawn")
    panel.button.click()
    qtbot.waitUntil(lambda: bool(panel.measured.rows))
    (row,) = panel.measured.rows
    assert row.true_mean == pytest.approx(truths["dna"][2, 4:14, 4:14].mean(), rel=1e-5)
    assert panel.measured.profiles[0].true == pytest.approx(truths["dna"][2, 4, 4:14])
    assert not panel.chart.isHidden()
    dock.save("regions", tmp_path / "regions.csv")
    assert (tmp_path / "regions.csv").read_text("utf-8").count("\n") == 2
    choose(dock, "dna")
    choose_truth(dock, "none")
    dock.refresh_now()
    assert not panel.measured.rows
    dock.save("profile", tmp_path / "profile.csv")
    assert "nothing is measured yet" in dock.form.foot.message.text.text().lower()
    viewer.layers.remove(drawn)
    assert not panel.button.isEnabled()
