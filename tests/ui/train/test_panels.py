"""The panels of the Train dock, one by one."""

import numpy as np
import pytest
from napari.layers import Image, Labels

from fake_engine import card
from napari_sparsessp.tasks import no_progress
from napari_sparsessp.training.split import StackShape, choose_validation, stack_parts
from napari_sparsessp.training.validation import Preview
from napari_sparsessp.ui.train.choice import (
    FilesPick,
    fits,
    guess_channels,
    layer_parts,
    look_at_files,
    mask_parts,
)
from napari_sparsessp.ui.train.form import TrainModelPanel, TrainNamePanel, TrainOptions
from napari_sparsessp.ui.train.stacks import (
    SplitDrawing,
    TrainFilesPanel,
    TrainPairsPanel,
    TrainSplitPanel,
    split_words,
)
from napari_sparsessp.ui.train.watch import TrainPreview, TrainWatch

MICRO = {"scale": (0.29,) * 3, "units": ("um",) * 3}


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
def panel(qtbot, desk):
    one = TrainPairsPanel()
    qtbot.addWidget(one)
    one.set_parts(layer_parts(desk), mask_parts(desk))
    return one


def row(card_, parts, name):
    key = next(one.key for one in parts if one.name == name)
    return card_.rows[key]


def test_light_is_found_and_truths_are_ticked_by_their_names(panel, desk):
    (one,), parts = panel.cards, layer_parts(desk)
    assert one.light_box.currentText() == "bright-field"
    tick, box = row(one, parts, "DNA · truth")
    assert tick.isChecked()
    assert box.typed() == "DNA"
    tick, box = row(one, parts, "my stain")
    assert not tick.isChecked()
    ((_, structure),) = one.pick().truths
    assert structure == "DNA"


def test_layers_of_another_size_cannot_be_ticked_and_say_why(panel, desk):
    parts = layer_parts(desk)
    tick, _ = row(panel.cards[0], parts, "another field")
    assert not tick.isEnabled()
    assert "another size: 16 × 16" in tick.toolTip()
    volumes = {one.name: one.volume for one in parts}
    assert fits(volumes["bright-field"], volumes["my stain"]) == ""


def test_a_labels_layer_is_offered_as_mask_and_nothing_else(panel):
    box = panel.cards[0].mask_box
    texts = [box.itemText(k) for k in range(box.count())]
    assert texts[:2] == ["everywhere", "focus is above 0"]
    assert panel.cards[0].pick().mask is None
    box.setCurrentIndex(1)
    assert panel.cards[0].pick().mask is not None


def test_a_second_stack_takes_the_next_light_and_can_be_removed(panel):
    second = panel.add_card()
    assert second.light() not in (None, panel.cards[0].light())
    second.removal_asked.emit()
    assert len(panel.cards) == 1
    assert panel.cards[0].remove_button.isHidden()


def test_what_was_said_of_a_layer_outlives_new_layers(panel, desk):
    parts = layer_parts(desk)
    tick, box = row(panel.cards[0], parts, "my stain")
    tick.setChecked(True)
    box.setEditText("actin")
    desk.layers.append(an_image("one more"))
    panel.set_parts(layer_parts(desk), mask_parts(desk))
    tick, box = row(panel.cards[0], layer_parts(desk), "my stain")
    assert tick.isChecked()
    assert box.typed() == "actin"


def test_channels_of_one_layer_are_stacks_of_their_own():
    desk = Desk(an_image("all", (2, 8, 32, 48), axis_labels=("c", "z", "y", "x")))
    parts = layer_parts(desk)
    assert [one.key.channel for one in parts] == [0, 1]
    assert parts[0].volume.axes == "ZYX"
    assert not layer_parts(Desk(an_image("t", (9, 8, 32, 48))))  # a time-lapse


# the split --------------------------------------------------------------------


def parts_of(*shapes):
    stacks = [StackShape(str(k), ("dna",), one) for k, one in enumerate(shapes)]
    return stack_parts(stacks, choose_validation(stacks, 16, 8))


@pytest.mark.parametrize("shapes", [[(8, 64, 128)], [(8, 128, 64)], [(8, 64, 64)] * 40])
def test_the_split_is_drawn_and_said(qtbot, shapes):
    drawing = SplitDrawing()
    qtbot.addWidget(drawing)
    drawing.resize(300, 74)
    empty = drawing.grab().toImage()
    drawing.show_parts(parts_of(*shapes))
    assert drawing.grab().toImage() != empty
    assert drawing.accessibleName() == split_words(drawing.parts)


def test_the_split_says_its_pixels():
    assert split_words(parts_of((8, 64, 128))) == (
        "pixels 0 to 80 in x to learn from, a gap of 16 in neither, 96 to 128 to judge "
        "by."
    )
    words = split_words(parts_of(*[(8, 64, 64)] * 8))
    assert words == "6 stacks to learn from, 2 to judge by."


def test_a_share_is_asked_for_only_where_it_counts(qtbot):
    panel = TrainSplitPanel()
    qtbot.addWidget(panel)
    assert panel.share.parent().isHidden()
    with qtbot.waitSignal(panel.changed):
        panel.by.button("x").click()
    assert not panel.share.parent().isHidden()
    panel.share.setValue(40)
    assert (panel.part(), panel.fraction()) == ("x", 0.4)


# model, options, name -----------------------------------------------------------


def test_the_chosen_model_outlives_new_ones(qtbot):
    panel = TrainModelPanel()
    qtbot.addWidget(panel)
    panel.offer([card(), card(id="other", name="Other")])
    assert panel.model_id() == "colony-3to2d"
    panel.choose("other")
    panel.offer([card(id="new"), card(id="other", name="Other")])
    assert panel.model_id() == "other"
    panel.offer([card(id="new")])
    assert panel.model_id() == "new"


def test_options_are_as_usual_until_somebody_types(qtbot):
    options = TrainOptions()
    qtbot.addWidget(options)
    assert options.chosen_ratios() is None
    assert options.chosen_patch() is None
    assert options.chosen_rate() is None
    assert not options.problem()
    options.ratios.setText("4, 1")
    options.patch.setValue(64)
    options.rate.setText("1e-4")
    assert options.chosen_ratios() == (1, 4)
    assert options.chosen_patch() == 64
    assert options.chosen_rate() == pytest.approx(1e-4)
    options.ratios.setText("1, 2.5")
    assert "whole numbers" in options.problem()
    options.ratios.setText("1, 200")
    assert "whole numbers" in options.problem()


def test_a_name_suggests_itself_until_it_is_typed(qtbot):
    panel = TrainNamePanel()
    qtbot.addWidget(panel)
    panel.suggest(["dna", "own"], {"my-dna-own"})
    assert panel.name.text() == "My DNA, Own"
    assert panel.id.text() == "my-dna-own-2"
    panel.name.setText("Ours")
    panel.name.textEdited.emit("Ours")
    panel.suggest(["nucleolus"], ())
    assert (panel.name.text(), panel.id.text()) == ("Ours", "ours")
    assert not panel.problem()


def test_a_model_that_is_there_is_never_replaced(qtbot):
    panel = TrainNamePanel()
    qtbot.addWidget(panel)
    panel.show_values("Mine", "taken", "not stated")
    panel.suggest(["dna"], {"taken"})
    assert "never replaced; choose another id" in panel.problem()
    panel.id.setText("Not an id")
    assert "lower-case" in panel.problem()


# files ------------------------------------------------------------------------


def test_channels_are_guessed_from_their_names():
    assert guess_channels(["Hoechst", "Bright-field"]) == (1, 0, "DNA")
    assert guess_channels(["TL", "stain"]) == (0, 1, "")
    assert guess_channels(["0", "1"]) == (-1, -1, "")


def test_images_are_asked_for_their_channels_and_then_listed(qtbot, tmp_path):
    from images import a_stack, write_stack

    both = np.stack([a_stack(), a_stack(seed=1)])
    paths = [
        write_stack(tmp_path / f"{k}.ome.tif", both, "CZYX", channels=["BF", "Hoechst"])
        for k in range(2)
    ]
    panel = TrainFilesPanel()
    qtbot.addWidget(panel)
    panel.choose(None, paths)
    found = look_at_files(panel.pick(), (0.29,) * 3, no_progress)
    assert not found.labels
    panel.show_found(found)
    pick = panel.pick()
    assert (pick.signal, pick.target, pick.structure) == ("BF", "Hoechst", "DNA")
    found = look_at_files(pick, (0.29,) * 3, no_progress)
    panel.show_found(found)
    assert [one.path for one in found.labels] == paths
    assert "2 stacks, 2 labels of 1 structure" in panel.found.text()
    folder = FilesPick(tmp_path, (), "BF", "Hoechst", "DNA")
    again = look_at_files(folder, (0.29,) * 3, no_progress)
    assert again.labels == found.labels


# watching -----------------------------------------------------------------------


def a_preview(step, prediction=0.0, structures=("dna", "own")):
    truth = np.zeros((len(structures), 4, 8, 8), np.float32)
    truth[:, 2, 2:5, 2:5] = 1
    return Preview(
        structures, np.random.default_rng(0).normal(size=(4, 8, 8)), truth,
        np.full_like(truth, prediction), 1, step,
    )  # fmt: skip


def test_the_preview_begins_where_there_is_most_to_see_and_stays_there(qtbot):
    preview = TrainPreview()
    qtbot.addWidget(preview)
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


def test_curves_show_each_structure_and_where_it_began(qtbot):
    watch = TrainWatch()
    qtbot.addWidget(watch)
    watch.clear("mine", 10)
    for minutes, r2 in ((0, 0.1), (1, 0.4), (2, 0.3)):
        watch.add_entry(entry(minutes, r2))
    dna, before = watch.r2_chart.curves
    assert list(dna.y) == pytest.approx([0.1, 0.4, 0.3])
    assert before.name == "before"
    assert set(before.y) == {0.1}
    assert (watch.before, watch.best) == (0.1, 0.4)
    assert not watch.learns_by_heart()
    watch.add_entry(entry(6, 0.2))
    assert watch.learns_by_heart()


def test_a_validation_without_a_score_leaves_no_point(qtbot):
    watch = TrainWatch()
    qtbot.addWidget(watch)
    watch.clear("mine", 10)
    watch.add_entry({"spent": 5.0, "step": 3, "loss": 0.4, "r2": None, "scores": {}})
    assert watch.best is None
    assert not watch.r2_chart.curves
