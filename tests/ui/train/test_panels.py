"""The panels of the Train dock, one by one."""

import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image, Labels

from fake_engine import card
from napari_sparsessp.errors import InputError
from napari_sparsessp.tasks import no_progress
from napari_sparsessp.training.config import TrainConfig, Validation
from napari_sparsessp.training.pairs import read_labels
from napari_sparsessp.training.split import StackShape, choose_validation, stack_parts
from napari_sparsessp.training.validation import Preview
from napari_sparsessp.ui.train.choice import (
    FilesChoice,
    FilesScan,
    guess_channels,
    left_out,
    masks_in,
    scan_files,
    stacks_in,
)
from napari_sparsessp.ui.train.form import ModelPanel, NameForm, TrainForm
from napari_sparsessp.ui.train.split import SplitPanel
from napari_sparsessp.ui.train.stacks import FilesPanel, PairsPanel
from napari_sparsessp.ui.train.watch import PatchPreview, TrainWatch
from napari_sparsessp.ui.widgets.controls import dock_words


class Desk:
    """As much of a viewer as panels see."""

    def __init__(self, *layers):
        self.layers = list(layers)


def an_image(name, shape=(8, 32, 48), **more):
    return Image(np.zeros(shape, np.float32), name=name, contrast_limits=(0, 1), **more)


@pytest.fixture
def desk():
    return Desk(
        an_image("DNA · truth"),
        an_image("bright-field"),
        an_image("my stain"),
        an_image("another field", (8, 16, 16)),
        Labels(np.zeros((8, 32, 48), int), name="focus"),
    )


@pytest.fixture
def panel(added, desk):
    one = added(PairsPanel())
    one.set_stacks(stacks_in(desk), masks_in(desk))
    return one


def row(panel, desk, name):
    key = next(one.key for one in stacks_in(desk) if one.name == name)
    return panel.cards[0].rows[key]


def test_light_is_found_and_truths_are_ticked_by_their_names(panel, desk):
    (one,) = panel.cards
    assert one.light_box.currentText() == "bright-field"
    tick, box = row(panel, desk, "DNA · truth")
    assert tick.isChecked()
    assert box.currentText() == "DNA"
    assert not row(panel, desk, "my stain")[0].isChecked()
    tick, _ = row(panel, desk, "another field")
    assert not tick.isEnabled()
    assert "another size: 16 × 16" in tick.toolTip()
    texts = [one.mask_box.itemText(k) for k in range(one.mask_box.count())]
    assert texts[:2] == ["none", "focus"]
    assert one.choice().mask is None
    one.mask_box.setCurrentIndex(1)
    assert one.choice().mask is not None
    ((_, structure),) = one.choice().truths
    assert structure == "DNA"


def test_a_truth_that_a_registration_has_moved_is_no_pair(added):
    place, moved = {"scale": (0.29,) * 3, "units": ("um",) * 3}, np.eye(4)
    moved[1, 3] = 1.0
    light, dna = an_image("bright-field", **place), an_image("DNA", **place)
    shifted = an_image("nucleoli", affine=moved, **place)
    desk, panel = Desk(light, dna, shifted), added(PairsPanel())
    panel.set_stacks(stacks_in(desk), ())
    assert row(panel, desk, "DNA")[0].isChecked()
    tick, _ = row(panel, desk, "nucleoli")
    assert not tick.isEnabled()
    assert "lies elsewhere" in tick.toolTip()


def test_a_second_stack_takes_the_next_light_and_can_be_removed(panel):
    second = panel.add_card()
    assert second.light() not in (None, panel.cards[0].light())
    second.removal_asked.emit()
    assert len(panel.cards) == 1
    assert panel.cards[0].remove_button.isHidden()


def test_what_was_said_of_a_layer_outlives_new_layers(panel, desk):
    tick, box = row(panel, desk, "my stain")
    tick.setChecked(True)
    box.setEditText("actin")
    desk.layers.append(an_image("one more"))
    panel.set_stacks(stacks_in(desk), masks_in(desk))
    tick, box = row(panel, desk, "my stain")
    assert tick.isChecked()
    assert box.currentText() == "actin"


def test_channels_of_one_layer_are_stacks_of_their_own():
    desk = Desk(an_image("all", (2, 8, 32, 48), axis_labels=("c", "z", "y", "x")))
    parts = stacks_in(desk)
    assert [one.key.channel for one in parts] == [0, 1]
    assert parts[0].volume.axes == "ZYX"
    desk = Desk(
        an_image("t", (9, 8, 32, 48)), an_image("film", (8, 32, 48, 3), rgb=True)
    )
    assert not stacks_in(desk)
    time_lapse, film = left_out(desk)
    assert time_lapse.startswith("t is a time-lapse and training takes z-stacks")
    assert "film" in film


# the split --------------------------------------------------------------------


def parts_of(*shapes):
    stacks = [StackShape(str(k), ("dna",), one) for k, one in enumerate(shapes)]
    return stack_parts(stacks, choose_validation(stacks, 16, 8))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (
            [(8, 64, 128)],
            "Pixels 0 to 80 in x for training, a gap of 16 in neither, 96 to 128 for "
            "validation.",
        ),
        ([(8, 128, 64)] * 2, "in y of each of 2 stacks for training"),
        ([(8, 64, 64)] * 8, "6 stacks for training, 2 for validation."),
    ],
)
def test_the_split_is_said_and_a_cut_is_drawn(added, shapes, words):
    panel = added(SplitPanel())
    panel.resize(300, 200)
    panel.show()
    parts = parts_of(*shapes)
    panel.show_parts(parts, "A note.")
    assert words in panel.words.text()
    assert panel.words.text().endswith(" A note.")
    assert panel.picture.isVisible() is bool(parts[0].axis)
    if parts[0].axis:
        picture = panel.picture.grab().toImage()
        x, y = range(4, picture.width(), 9), range(3, picture.height(), 5)
        shown = {picture.pixel(*place) for place in product(x, y)}
        assert len(shown) == 3  # training, gap, validation


def test_a_share_is_asked_for_only_where_it_counts(qtbot, added):
    panel = added(SplitPanel())
    assert panel.options.isHidden()
    with qtbot.waitSignal(panel.changed):
        panel.by.button("x").click()
    assert not panel.options.isHidden()
    with qtbot.waitSignal(panel.changed):
        panel.options.native("percent").setValue(40)
    assert (panel.part(), panel.share()) == ("x", 0.4)


@pytest.mark.parametrize(
    ("work", "advice"),
    [
        (lambda: read_labels(Path("none.csv")), "choose another list or folder"),
        (lambda: whole_stacks_of("train", "train"), "or choose an end in x or y"),
        (lambda: whole_stacks_of(""), "choose an end in x or y"),
        (
            lambda: stack_parts([StackShape("a", (), (8, 9, 9))], A_CUT),
            "another share or axis",
        ),
    ],
)
def test_errors_name_controls_and_no_fields_of_a_config(work, advice):
    with pytest.raises(InputError) as caught:
        work()
    text = dock_words(str(caught.value))
    assert advice in text
    assert not re.search(r"(data|validation|recipe|model)\.[a-z]", text)


SMALL = StackShape("a", (), (8, 9, 9))
A_CUT = Validation(by="x", share=0.3, gap=99)


def whole_stacks_of(*splits):
    stacks = [
        StackShape(str(k), ("dna",), (8, 64, 64), s) for k, s in enumerate(splits)
    ]
    return stack_parts(stacks, Validation(by="stack"))


# model, options, name -----------------------------------------------------------


def test_the_chosen_model_outlives_new_ones(added):
    panel = added(ModelPanel())
    box = panel.options.native("source")
    panel.offer([card(), card(id="other", name="Other"), card(id="twin", name="Other")])
    assert panel.card().id == "colony-3to2d"
    assert [box.itemText(k) for k in (1, 2)] == ["Other (other)", "Other (twin)"]
    panel.choose("other", freeze_encoder=False)
    panel.offer([card(id="new"), card(id="other", name="Other")])
    assert panel.card().id == "other"
    panel.offer([card(id="new")])
    assert panel.card().id == "new"


def test_options_are_automatic_until_they_are_typed(added):
    form = added(TrainForm(list))
    usual = {"ratios": None, "patch": None, "learning_rate": None, "loss": "mse"}
    assert form.chosen_options().items() >= usual.items()
    type_in(form.options, "ratios", "4, 1")
    type_in(form.options, "learning_rate", "1e-4")
    form.options.native("patch").setValue(64)
    typed = {"ratios": (1, 4), "patch": 64, "learning_rate": 1e-4}
    assert form.chosen_options().items() >= typed.items()
    type_in(form.options, "ratios", "1, 200")
    assert "whole numbers" in form.options.problem()


def type_in(form, name, text):
    field = form.native(name)
    field.setText(text)
    field.editingFinished.emit()


def test_a_name_suggests_itself_until_it_is_typed(qtbot, added):
    form = added(NameForm())
    form.suggest(["dna", "own"], {"my-dna-own"})
    assert (form.get("name"), form.get("id")) == ("My DNA, Own", "my-dna-own-2")
    with qtbot.waitSignal(form.changed):
        form.native("name").setText("Ours")
    form.suggest(["nucleolus"], ())
    assert (form.get("name"), form.get("id")) == ("Ours", "ours")
    assert not form.name_problem()
    form.show_typed("Mine", "taken", "not stated")
    form.suggest(["dna"], {"taken"})
    assert "never replaced; choose another id" in form.name_problem()
    form.native("id").setText("Not an id")
    assert "lower-case" in form.name_problem()


def a_config(tmp_path, **more):
    values = {
        "out": tmp_path / "run",
        "model": {"id": "mine", "name": "Mine", "licence": "CC0"},
        "network": {"from": "colony-3to2d", "freeze_encoder": True},
        "data": {"pairs": {"path": tmp_path / "pairs.csv"}},
        "validation": {"by": "y", "share": 0.3},
        "budget": {"minutes": 3},
        "loss": "l1",
    }
    return TrainConfig.model_validate({**values, **more})


def test_a_config_fills_the_form_and_says_what_has_no_row(added, tmp_path):
    form = added(TrainForm(list))
    form.model.offer([card()])
    assert form.show_config(a_config(tmp_path)) == []
    filled = {"name": "Mine", "id": "mine", "licence": "CC0", "minutes": 3}
    filled |= {"loss": "l1", "freeze_encoder": True}
    assert form.chosen_options().items() >= filled.items()
    assert not form.options.isHidden()  # one of them is not as usual
    choice = form.choice()
    assert choice.files.path == tmp_path / "pairs.csv"
    assert (choice.from_files, choice.part, choice.share) == (True, "y", 0.3)
    recipe = {"name": "fast", "clip": 0.5, "patch": [64, 64]}
    notes = form.show_config(a_config(tmp_path, budget={"steps": 9}, recipe=recipe))
    assert "9 steps" in notes[0]
    assert "its own clip;" in notes[1]
    assert form.chosen_options()["patch"] == 64


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"data": {"simulated": {"colonies": 3}}}, "sparsessp train FILE"),
        ({"network": {"from": "elsewhere"}}, "not among the models here"),
    ],
)
def test_a_config_that_the_dock_cannot_run_fills_nothing(added, tmp_path, more, words):
    form = added(TrainForm(list))
    form.model.offer([card()])
    with pytest.raises(InputError, match=words):
        form.show_config(a_config(tmp_path, **more))
    assert not form.choice().from_files
    assert form.chosen_options()["name"] == ""


# files ------------------------------------------------------------------------


def test_channels_are_guessed_from_their_names():
    assert guess_channels(["Hoechst", "Bright-field"]) == (1, 0, "DNA")
    assert guess_channels(["TL", "stain"]) == (0, 1, "")
    assert guess_channels(["0", "1"]) == (-1, -1, "")


def test_images_are_asked_for_their_channels_and_then_listed(added, tmp_path):
    from images import a_stack, write_stack

    both = np.stack([a_stack(), a_stack(seed=1)])
    paths = [
        write_stack(tmp_path / f"{k}.ome.tif", both, "CZYX", channels=["BF", "Hoechst"])
        for k in range(2)
    ]
    panel = added(FilesPanel())
    panel.choose(FilesChoice(images=tuple(paths)))
    scan = scan_files(panel.files(), (0.29,) * 3, no_progress)
    assert not scan.labels
    panel.show_scan(scan)
    files = panel.files()
    assert (files.signal, files.target, files.structure) == ("BF", "Hoechst", "DNA")
    scan = scan_files(files, (0.29,) * 3, no_progress)
    panel.show_scan(scan)
    assert [one.path for one in scan.labels] == paths
    assert "2 stacks, 2 labels of 1 structure" in panel.summary.text()
    folder = FilesChoice(tmp_path, (), "BF", "Hoechst", "DNA")
    again = scan_files(folder, (0.29,) * 3, no_progress)
    assert again.labels == scan.labels
    panel.choose(FilesChoice(tmp_path, signal="1", target="b", structure="Own"))
    panel.show_scan(FilesScan(panel.files(), ("a", "light", "b"), [], []))
    files = panel.files()  # those of a config, by number or name
    assert (files.signal, files.target, files.structure) == ("light", "b", "Own")


# watching -----------------------------------------------------------------------


def a_preview(step, prediction=0.0, structures=("dna", "own")):
    truth = np.zeros((len(structures), 4, 8, 8), np.float32)
    truth[:, 2, 2:5, 2:5] = 1
    return Preview(
        structures, np.random.default_rng(0).normal(size=(4, 8, 8)), truth,
        np.full_like(truth, prediction), 1, step,
    )  # fmt: skip


def test_the_preview_begins_where_there_is_most_to_see_and_stays_there(added):
    preview = added(PatchPreview())
    preview.show_preview(a_preview(0))
    assert preview.plane.value() == 2
    dark = preview.prediction.pixels.max()
    preview.plane.setValue(1)
    preview.structure_box.setCurrentIndex(1)
    preview.show_preview(a_preview(5, prediction=1.0))
    assert preview.plane.value() == 1
    assert preview.structure_box.currentText() == "Own"
    assert preview.prediction.pixels.min() > dark


def entry(minutes, r2):
    scores = {"dna": {"1": r2 + 0.1, "4": r2 - 0.1}}
    return {"spent": 60 * minutes, "step": 1, "loss": 0.5, "r2": r2, "scores": scores}


def test_curves_show_each_structure_and_where_it_began(added):
    watch = added(TrainWatch())
    watch.clear("mine", 10)
    watch.add_entry({"spent": 0.0, "step": 0, "loss": 0.4, "r2": None, "scores": {}})
    assert watch.best is None  # without a score there is no point
    assert not watch.r2_chart.curves
    for minutes, r2 in ((0, 0.1), (1, 0.4), (2, 0.3)):
        watch.add_entry(entry(minutes, r2))
    assert watch.headline.text() == "mine: R² 0.10 → 0.40"
    dna, before = watch.r2_chart.curves
    assert list(dna.y) == pytest.approx([0.1, 0.4, 0.3])
    assert before.name == "before"
    assert set(before.y) == {0.1}
    assert watch.best == 0.4
    assert not watch.overfits()
    watch.add_entry(entry(6, 0.2))
    assert watch.overfits()
    watch.clear("mine", budget=200, in_steps=True)
    for step in (0, 40):
        watch.add_entry(entry(step, 0.1) | {"step": step})
    assert list(watch.r2_chart.curves[0].x) == [0, 40]  # not minutes
