"""The Train dock in a real viewer: from layers to a model that predicts."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from scipy import ndimage

from napari_sparsessp.models.library import read_card
from napari_sparsessp.training.checkpoints import has_state, saved_step
from napari_sparsessp.training.resolve import run_folder
from napari_sparsessp.ui.dock import open_predict
from napari_sparsessp.ui.engine import InstalledEngine
from napari_sparsessp.ui.layers import opening
from napari_sparsessp.ui.preferences import model_news
from napari_sparsessp.ui.train import dock as train_dock
from napari_sparsessp.ui.train.form import SET_UP, WATCH, TrainState
from napari_sparsessp.ui.widgets.basic import Mark
from thin import save_thin

MICRO = {"scale": (0.29,) * 3, "units": ("um",) * 3}


def rough(seed=0, shape=(10, 40, 64)):
    """Something with large features: light that shows the structure as it is."""
    values = np.random.default_rng(seed).normal(size=shape).cumsum(1).cumsum(2)
    return ((values - values.mean()) / values.std()).astype(np.float32)


class ThinEngine(InstalledEngine):
    """Knows the user's folder alone, with the thin model first."""

    def cards(self):
        own = [one for one in super().cards() if self.place(one).own]
        return sorted(own, key=lambda one: one.id != "thin")


@pytest.fixture
def empty(viewer, own_models_folder, monkeypatch):
    """The dock of an empty viewer, opened as users do; only a thin model is known."""
    save_thin(own_models_folder / "thin.safetensors")
    monkeypatch.setattr(train_dock, "InstalledEngine", ThinEngine)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sparsessp", "Train")
    return dock


@pytest.fixture
def ready(viewer, empty):
    """A pair is open, and a training of few steps is prepared."""
    viewer.add_image(rough(), name="bright-field", **MICRO)
    viewer.add_image(rough(), name="DNA", **MICRO)
    shorten(empty)
    return empty


def shorten(dock, steps=12, save_steps=4):
    """Give the job a budget in steps, which no busy machine makes longer."""
    original = dock._preview

    def preview():
        made = original()
        if made.job is not None:
            made.job = replace(made.job, config=short(made.job.config))
        return made

    def short(config):
        recipe = config.recipe.model_copy(update={"patch": (16, 16), "batch": 2})
        budget = config.budget.model_copy(
            update={"minutes": None, "steps": steps, "save_minutes": None,
                    "save_steps": save_steps}
        )  # fmt: skip
        more = {"recipe": recipe, "budget": budget, "ratios": (1,), "device": "cpu"}
        return config.model_copy(update=more)

    dock._preview = preview
    dock.refresh()


@pytest.fixture
def end(qtbot):
    """Wait until a dock's training has ended."""
    return lambda dock: qtbot.waitUntil(lambda: not dock.session.busy)


def test_layers_are_matched_and_what_cannot_be_used_is_reported(ready, monkeypatch):
    assert ready.preview.structures == ("dna",)
    assert not ready.preview.problems
    (parts,) = ready.preview.parts
    assert parts.axis == "x"
    assert parts.judge[0] - parts.learn[1] == ready.preview.validation.gap > 0
    assert ready.form.foot.state is TrainState.READY
    assert ready.form.name.get("id") == "my-dna"
    asked = []

    def choose(_dock, title, *_):
        asked.append(title)
        return "", ""

    monkeypatch.setattr(opening.QFileDialog, "getOpenFileName", choose)
    ready.form.pairs.open_button.click()
    assert len(asked) == 1
    for option, words in (
        ({"ratios": (1, 200)}, "whole numbers from 1 to 64"),
        ({"ratios": None, "patch": 3}, "at least 8"),
    ):
        ready.form.options.update(**option)
        ready.refresh()
        assert ready.form.foot.state is TrainState.BLOCKED
        assert words in ready.form.foot.message.text.text()
        assert ready.form.steps["time"].mark is Mark.BAD


def test_stopped_before_the_first_step_nothing_is_left(ready, end):
    ready.train()
    ready.form.foot.button.click()
    end(ready)
    assert ready.form.foot.status.text().startswith("Stopped before the first step")
    assert ready.form.pages.value() == SET_UP
    assert not run_folder("my-dna").exists()


def test_a_pair_becomes_a_model_that_predict_offers(ready, viewer, qtbot, end):
    predict = open_predict(viewer)
    with qtbot.waitSignal(model_news().changed) as news:
        ready.train()
    end(ready)
    assert news.args == ["my-dna"]
    assert not ready.form.foot.message.is_error, ready.form.foot.message.text.text()
    watch = ready.form.watch
    assert ready.form.pages.value() == WATCH
    assert len(watch.r2_chart.curves) == 2
    assert watch.preview.preview.structures == ("dna",)
    status = ready.form.foot.status.text()
    assert status.startswith("Done: R²")
    assert status.endswith("of stacks that were used for training.")
    card = read_card("my-dna")
    assert card.structures == ("dna",)
    assert "kept back where" in card.scores["validation"]["on"]
    assert predict.form.topology.model_box.findData("my-dna") >= 0
    ready.predict()
    assert predict.form.topology.model_id() == "my-dna"
    # The next one gets another id: nothing is replaced.
    ready.form.model.choose("my-dna", freeze_encoder=False)
    ready.refresh()
    seen = "was used to train My DNA"
    qtbot.waitUntil(lambda: any(seen in note for note in ready.preview.notes))
    assert ready.form.name.get("id") == "my-dna-2"


def test_a_paused_training_goes_on_also_in_a_new_dock(ready, viewer, qtbot, end):
    shorten(ready, steps=5000, save_steps=4)
    ready.train()
    qtbot.waitUntil(lambda: len(ready.form.watch.scores) > 1)
    ready.form.foot.pause_button.click()
    end(ready)
    assert has_state(run_folder("my-dna"))
    again = train_dock.TrainDock(viewer)
    qtbot.addWidget(again)
    bar = again.form.unfinished
    assert "“My DNA” is not finished" in bar.text.text()
    step = ready.form.watch.scores[-1][0]
    bar.resume_button.click()
    qtbot.waitUntil(lambda: again.form.watch.scores[-1:] > [(step, 9.0)])
    again.form.foot.button.click()
    end(again)
    assert read_card("my-dna").scores["validation"]["r2"] == again.form.watch.best
    assert again.form.unfinished.isHidden()


def test_a_viewer_that_closes_leaves_a_state_to_go_on_with(viewer, ready, qtbot):
    shorten(ready, steps=5000, save_steps=1000)
    ready.train()
    cancelled = ready.session.task.progress.cancelled
    qtbot.waitUntil(lambda: "of 5000" in ready.form.foot.status.text())
    viewer.window.remove_dock_widget(ready)
    ready.deleteLater()
    qtbot.waitUntil(cancelled.is_set)
    qtbot.waitUntil(lambda: saved_step(run_folder("my-dna")) > 0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("DNA", 0, "bright-field.ome.tif, target"), ("bright-field", np.nan, "NaN")],
)
def test_values_that_teach_nothing_are_reported_and_nothing_is_left(
    ready, viewer, end, name, value, words
):
    viewer.layers[name].data = np.full((10, 40, 64), value, np.float32)
    ready.train()
    end(ready)
    assert ready.form.foot.message.is_error
    assert words in ready.form.foot.message.text.text()
    assert ready.form.pages.value() == SET_UP
    assert ready.form.foot.button.isEnabled()
    assert not run_folder("my-dna").exists()


def test_hot_pixels_and_lost_planes_are_said_before_training(empty, viewer, qtbot):
    truth = 100 * rough() + 1000
    truth[:, 5, 7] = 65535
    truth[8:] = 0
    viewer.add_image(rough(), name="bright-field", **MICRO)
    viewer.add_image(truth, name="DNA", **MICRO)
    said = empty.form.foot.message.text
    qtbot.waitUntil(lambda: "8 hot pixels" in said.toolTip())
    assert "planes 8–9, empty or saturated" in said.toolTip()
    assert empty.form.foot.state is TrainState.READY
    areas, _ = ndimage.label(rough() > 0.3)
    viewer.layers.remove("DNA")
    viewer.add_image(areas.astype(np.uint16), name="DNA", **MICRO)
    qtbot.waitUntil(lambda: "it is a label image" in said.text())
    assert empty.form.foot.state is TrainState.BLOCKED


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((10, 6, 6), "too few"),
        ((10, 1, 64), "the network needs"),
        (
            None,
            "training needs a dense bright-field stack",
        ),  # the bundled sample: the first that is tried
    ],
)
def test_a_stack_that_is_too_small_is_reported_before_anything_begins(
    empty, viewer, size, words
):
    assert empty.form.foot.state is TrainState.BLOCKED
    assert "Open a stack" in empty.form.foot.status.text()
    if size is None:
        viewer.open_sample("napari-sparsessp", "sparse_colony")
    else:
        viewer.add_image(rough(shape=size), name="bright-field", **MICRO)
        viewer.add_image(rough(shape=size), name="DNA", **MICRO)
    empty.refresh()
    assert empty.form.foot.state is TrainState.BLOCKED
    assert words in empty.form.foot.message.text.text()
    viewer.layers.clear()
    empty.form.pairs.sample_button.click()
    empty.refresh()
    assert empty.form.foot.state is TrainState.READY
    assert len(empty.preview.structures) == 12


def test_settings_as_yaml_give_the_same_model_and_come_back(
    ready, qtbot, tmp_path, end
):
    from typer.testing import CliRunner

    from napari_sparsessp.cli.main import app

    file = tmp_path / "mine.yaml"
    ready.save(file)
    qtbot.waitUntil(file.exists)
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert values["out"] == "my-dna"
    assert values["data"]["pairs"]["path"] == "my-dna/pairs.csv"
    done = CliRunner().invoke(app, ["train", str(file), "--quiet"])
    assert done.exit_code == 0, done.output
    there = read_card(str(tmp_path / "my-dna" / "my-dna.safetensors"))
    ready.train()
    end(ready)
    here = read_card("my-dna")
    assert here.check.tensors == there.check.tensors
    assert here.scores == there.scores
    ready.load(file)
    assert ready.form.pairs.from_files()
    qtbot.waitUntil(lambda: ready.preview.structures == ("dna",))
    assert ready.form.name.get("id") == "my-dna"
