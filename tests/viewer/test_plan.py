"""The Plan dock in a real viewer: from a dense stack to a ratio in Predict."""

import json

import numpy as np
import pytest
from qtpy.QtGui import QShortcut

from images import a_stack, write_stack
from napari_sparsessp.errors import PredictionError
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.plan import dock as plan_dock
from napari_sparsessp.ui.plan import job as plan_job
from napari_sparsessp.ui.plan.form import PlanState
from napari_sparsessp.ui.tasks import TaskProgress

DENSE = {"scale": (0.29, 0.29, 0.29), "units": ("um",) * 3}


class OneModel(InstalledEngine):
    """The real engine with the thin model alone; counts what it hands out."""

    handed = 0

    def cards(self):
        return [card for card in super().cards() if card.id == "thin"]

    def model(self, request):
        self.handed += 1
        return super().model(request)


@pytest.fixture
def engine(monkeypatch, thin_folder):
    monkeypatch.setenv("SPARSESSP_MODELS", str(thin_folder))
    plan_job.session_memory.cache_clear()
    engine = OneModel()
    monkeypatch.setattr(plan_dock, "InstalledEngine", lambda: engine)
    return engine


def open_plan(viewer):
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Plan sampling")
    return dock


@pytest.fixture
def dock(viewer, engine):
    """The dock of a viewer with a dense stack and its DNA."""
    viewer.add_image(a_stack(), name="bright-field", **DENSE)
    viewer.add_image(a_stack(seed=1), name="DNA", **DENSE)
    return open_plan(viewer)


@pytest.fixture
def measured(qtbot):
    def wait(dock):
        dock.form.foot.button.click()
        qtbot.waitUntil(lambda: dock.task is None and dock.record is not None)

    return wait


def ratios(dock):
    return [one.ratio for one in dock.record.report.ratios]


def saved_as_table_and_page(dock, folder, monkeypatch, qtbot):
    for kind, save in (("csv", dock.save_table), ("html", dock.save_page)):
        path = folder / f"plan.{kind}"
        monkeypatch.setattr(plan_dock, "ask_path", lambda *_, chosen=path: chosen)
        save()
        qtbot.waitUntil(lambda path=path: str(path) in dock.form.foot.status.text())
    assert "ratio,planes,structure" in (folder / "plan.csv").read_text("utf-8")
    page = (folder / "plan.html").read_text("utf-8")
    assert dock.record.report.model.sha256 in page
    assert 'data-kind="prediction"' in page


def test_a_stack_with_its_truth_gives_an_answer_to_save_and_to_use_in_predict(
    dock, measured, tmp_path, monkeypatch, qtbot
):
    dock.refresh()
    assert dock.form.choice().against_dense is False
    assert dock.form.foot.state is PlanState.READY
    measured(dock)
    report = dock.record.report
    assert ratios(dock) == [1, 2, 4], "8th of 8 planes is no stack"
    assert "<b>1 plane in 2 and 4</b>" in dock.form.ratio_step.headline.text()
    assert report.structures == ("dna",)
    assert report.reference == "truth"
    result = dock.form.result
    assert not result.isHidden()
    assert result.table.rowCount() == 3
    assert "R² cannot tell" in result.answer.text(), "random weights"
    assert dock.form.foot.state is PlanState.KNOWN
    dna = next(row for row in dock.form.structures.rows if row.structure.id == "dna")
    assert dna.scores["r2"] == report.ratios[0].structures["dna"]["r2"]
    saved_as_table_and_page(dock, tmp_path, monkeypatch, qtbot)
    result.choose(4)
    result.use_button.click()
    predict = open_predict(dock._viewer)
    choice = predict.form.state()
    assert (choice.ratio, choice.simulate) == (4, True)
    assert choice.layer == dock.form.input.layer_key()
    assert choice.card.id == "thin"
    assert choice.structures == ("dna",)
    assert predict.form.foot.button.isEnabled()


def test_what_was_measured_is_known_until_pixels_change(dock, measured, engine, viewer):
    measured(dock)
    first = dock.record
    dock.form.ratios.button(4).click()
    dock.refresh()
    assert dock.record is None, "of this nothing is known yet"
    assert dock.form.foot.state is PlanState.READY
    dock.form.ratios.button(4).click()
    dock.refresh()
    assert dock.record is first
    assert engine.handed == 1
    measured(dock)
    assert dock.record is first
    assert dock.form.foot.state is PlanState.KNOWN
    assert "Nothing has changed" in dock.form.foot.status.text()
    viewer.layers["bright-field"].data[3] = 0  # painted: noticed when it is checked
    measured(dock)
    assert dock.record is not first
    viewer.layers["bright-field"].data = a_stack(seed=7)
    dock.refresh()
    assert dock.record is None


def test_the_command_line_gives_the_same_answer(dock, measured, tmp_path, thin_folder):
    from napari_sparsessp.cli.main import app_main

    for name in ("bright-field", "DNA"):
        data = dock._viewer.layers[name].data
        write_stack(tmp_path / f"{name}.ome.tif", data, "ZYX", (0.29,) * 3)
    measured(dock)
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as end:
        app_main(
            [
                *("sweep", str(tmp_path / "bright-field.ome.tif"), "--quiet"),
                *("--truth", f"dna={tmp_path / 'DNA.ome.tif'}", "--ratios", "1,2,4"),
                *("--model", str(thin_folder / "thin.safetensors"), "--out", str(out)),
            ]
        )
    said = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
    report = dock.form.result.report()
    assert end.value.code == 0
    assert said["answer"] == report.answer
    assert said["ratio_needed"] == report.ratio_needed
    mine = [one.structures["dna"]["r2"] for one in report.ratios]
    assert [one["structures"]["dna"]["r2"] for one in said["ratios"]] == mine


def test_without_a_truth_the_dense_prediction_is_the_judge(viewer, engine, measured):
    viewer.add_image(a_stack(), name="bright-field", **DENSE)
    dock = open_plan(viewer)
    assert dock.form.choice().against_dense
    assert not dock.form.judge_note.isHidden()
    measured(dock)
    assert dock.record.report.against_dense
    assert dock.record.report.ratios[0].structures["dna"]["r2"] == 1
    assert "no truth" in dock.form.result.answer.text()


SPARSE = {"scale": (1.16, 0.29, 0.29), "units": ("um",) * 3}


@pytest.mark.parametrize(
    ("planes", "place", "words"),
    [
        (0, {}, ["Open a z-stack"]),
        (2, DENSE, ["none can be left out"]),
        (8, SPARSE, ["sparse already", "Record one dense stack",
                     "0.29 µm (some 32 planes here)"]),
    ],
)  # fmt: skip
def test_what_is_no_dense_stack_is_recognised_with_advice(
    viewer, engine, planes, place, words
):
    if planes:
        viewer.add_image(a_stack(planes), name="light", **place)
    foot = open_plan(viewer).form.foot
    said = foot.message.text.text() + foot.status.text()
    assert all(word in said for word in words), said
    assert foot.state is PlanState.BLOCKED
    assert not foot.button.isEnabled()


def test_stop_keeps_the_ratios_that_are_done(dock, qtbot, monkeypatch):
    original = TaskProgress.publish

    def publish(progress, record):
        original(progress, record)
        if len(record.report.ratios) == 2:
            progress.cancel()

    monkeypatch.setattr(TaskProgress, "publish", publish)
    dock.form.foot.button.click()
    qtbot.waitUntil(lambda: dock.task is None)
    assert ratios(dock) == [1, 2]
    assert dock.form.foot.state is PlanState.READY
    assert "every plane and 2nd done" in dock.form.foot.status.text()
    assert dock.form.result.use_button.isEnabled()
    assert dock.form.input.isEnabled()


def test_keys_start_and_stop_and_a_stack_that_goes_stops_too(dock, qtbot, viewer):
    keys = {one.key().toString(): one for one in dock.form.findChildren(QShortcut)}
    keys["Esc"].activated.emit()
    assert dock.form.foot.state is PlanState.READY, "nothing runs that could stop"
    for stop in (keys["Esc"].activated.emit, viewer.layers.clear):
        keys["Ctrl+R"].activated.emit()
        assert dock.form.foot.state is PlanState.RUNNING
        keys["Ctrl+R"].activated.emit()
        assert dock.form.foot.state is PlanState.RUNNING
        stop()
        dock.refresh_now()
        assert dock.form.foot.state is PlanState.STOPPING
        qtbot.waitUntil(lambda: dock.task is None)
    assert dock.form.foot.state is PlanState.BLOCKED


def test_an_error_is_reported_once_and_the_form_is_free(
    dock, qtbot, engine, monkeypatch
):
    def fail(_request):
        raise PredictionError("the model is gone; get it again")

    monkeypatch.setattr(engine, "model", fail)
    dock.form.foot.button.click()
    qtbot.waitUntil(lambda: dock.task is None)
    assert dock.form.foot.message.is_error
    assert "the model is gone" in dock.form.foot.message.text.text().lower()
    assert dock.form.foot.state is PlanState.READY
    assert dock.form.input.isEnabled()


def test_a_time_lapse_is_measured_where_it_is_looked_at(viewer, engine, measured):
    movie = np.stack([a_stack(seed=n) for n in range(3)])
    viewer.add_image(
        movie,
        name="bright-field",
        scale=(1, 0.29, 0.29, 0.29),
        units=("s", "um", "um", "um"),
        axis_labels=("t", "z", "y", "x"),
    )
    dock = open_plan(viewer)
    viewer.dims.set_point(0, 2)
    measured(dock)
    later = dock.record
    viewer.dims.set_point(0, 0)
    measured(dock)
    assert dock.record is not later
    assert dock.form.result.imaging.get("stacks") == 3, "the layer's own length"


def test_a_closed_viewer_stops_the_thread(make_napari_viewer_proxy, engine, qtbot):
    viewer = make_napari_viewer_proxy()
    viewer.add_image(a_stack(16, size=96), name="bright-field", **DENSE)
    dock = open_plan(viewer)
    dock.form.foot.button.click()
    progress = dock.task.progress
    viewer.close()
    qtbot.waitUntil(progress.cancelled.is_set)
