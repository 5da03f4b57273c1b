"""The stack: layer, channel and voxel size, and what a model expects of it."""

import numpy as np
import pytest
from napari.layers import Image

from napari_sparsessp.ui.layers.reading import read_layer
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.stack_input import (
    ExpectationTable,
    InputPanel,
    expectations,
    size_text,
)


@pytest.fixture
def panel(qtbot):
    panel = InputPanel()
    qtbot.addWidget(panel)
    qtbot.addWidget(panel.edit_button)
    panel.show()
    return panel


def reading(shape, **changes):
    return read_layer(Image(np.zeros(shape), contrast_limits=(0, 1), **changes))


def test_without_layers_the_sample_is_offered(panel, qtbot):
    panel.set_layers([])
    assert panel.sample_button.isVisible()
    assert panel.layer_key() is None
    with qtbot.waitSignal(panel.sample_asked):
        panel.sample_button.click()


def test_the_chosen_layer_stays_when_others_come_and_go(panel):
    panel.set_layers([("a", "one"), ("b", "two")])
    panel.choose_layer("b")
    panel.set_layers([("c", "new"), ("b", "renamed")])
    assert panel.layer_key() == "b"
    assert panel.layer_box.currentText() == "renamed"
    panel.set_layers([("c", "new")])
    assert panel.layer_key() == "c"


def test_unknown_size_asks_for_it(panel):
    panel.show_reading(reading((8, 9, 9)))
    assert panel._size_row.isVisible()
    panel.type_voxel_size((1, 0.5, 0.25))
    assert panel.typed_voxel_size() == (1, 0.5, 0.25)


def test_known_size_can_be_corrected_on_demand(panel):
    panel.show_reading(reading((8, 9, 9), scale=(1, 0.3, 0.3), units=("um",) * 3))
    assert not panel._size_row.isVisible()
    panel.edit_button.click()
    assert panel._size_row.isVisible()


def test_half_a_size_counts_as_none(panel):
    panel.size.native("z").setText("1.0")
    assert panel.typed_voxel_size() is None
    assert panel.half_typed()


def test_channels_are_offered_and_none_is_taken_for_granted(panel):
    panel.show_reading(reading((3, 8, 9, 9)))
    assert panel.leading() == "C"
    assert panel.channel_box.count() == 3
    assert panel.channel() is None
    panel.channel_box.setCurrentIndex(2)
    assert panel.channel() == 2


def test_a_single_channel_needs_no_choice(panel):
    panel.show_reading(reading((8, 9, 9)))
    assert panel.leading() is None
    assert panel.channel() is None


def test_a_typed_size_belongs_to_its_layer(panel):
    panel.set_layers([("a", "one"), ("b", "two")])
    panel.type_voxel_size((1, 1, 1))
    panel.set_layers([("a", "one"), ("b", "two"), ("c", "three")])
    assert panel.typed_voxel_size() == (1, 1, 1)
    panel.choose_layer("b")
    assert panel.typed_voxel_size() is None


def test_a_long_name_keeps_both_ends(panel, qtbot):
    panel.set_layers(
        [("a", "a_very_long_name_of_a_file_that_has_no_end · Bright-field")]
    )
    panel.layer_box.setFixedWidth(150)
    assert not panel.layer_box.grab().isNull()
    assert "Bright-field" in panel.layer_box.toolTip()


UM = ("um",) * 3


def rows(card, shape=(8, 16, 16), channel=None, ratio=None, **changes):
    layer = Image(np.zeros(shape, np.uint8), contrast_limits=(0, 1), **changes)
    return expectations(card, read_layer(layer), channel, ratio)


def test_a_fitting_stack_is_all_green(card):
    found = rows(card(), scale=(1.16, 0.29, 0.29), units=UM, ratio=4.0)
    assert [row.mark for row in found] == [Mark.GOOD] * 3
    assert [row.name for row in found] == ["Voxel size", "Planes", "Channel"]


def test_unknown_voxel_size_is_a_warning_with_advice(card):
    size = rows(card())[0]
    assert (size.found, size.mark) == ("not recorded", Mark.WARN)
    assert "Type the size" in size.advice


def test_assumed_unit_is_a_warning(card):
    size = rows(card(), scale=(1.16, 0.29, 0.29))[0]
    assert size.mark is Mark.WARN
    assert "taken for µm" in size.advice


def test_pixels_far_from_the_models_are_a_warning(card):
    assert rows(card(), scale=(1, 2, 2), units=UM)[0].mark is Mark.WARN
    assert rows(card(), scale=(1, 0.33, 0.3), units=UM)[0].mark is Mark.GOOD


def test_one_plane_is_no_stack(card):
    assert rows(card(), shape=(16, 16))[1].mark is Mark.WARN


def test_ratio_beyond_the_training_is_a_warning(card):
    planes = rows(card(), scale=(6, 0.29, 0.29), units=UM, ratio=20.7)[1]
    assert planes.mark is Mark.WARN
    assert planes.expected == "r = 1, 2, 4, 8"


def test_channels_have_to_be_chosen(card):
    assert rows(card(), shape=(3, 8, 16, 16))[2].mark is Mark.BAD
    assert rows(card(), shape=(3, 8, 16, 16), channel=1)[2].mark is Mark.GOOD


@pytest.mark.parametrize(
    ("size", "said"),
    [
        ((0.29, 0.29, 0.29), "0.29 µm"),
        ((1.16, 0.29, 0.29), "1.16 × 0.29 × 0.29 µm"),
        ((2.0, 0.065, 0.065), "2 × 0.065 × 0.065 µm"),
    ],
)
def test_sizes_are_written_short(size, said):
    assert size_text(size).replace("\u2009", " ") == said


def test_marks_are_told_by_words_as_well(qtbot, card):
    table = ExpectationTable()
    qtbot.addWidget(table)
    table.show_expectations(rows(card()))
    assert table._rows[0][3].mark is Mark.WARN
    assert Mark.WARN.value in table._rows[0][3].accessibleName()


def test_a_model_of_one_ratio_says_so_when_the_stack_has_another(card):
    only = card(ratios=(8,))
    fits = rows(only, scale=(2.32, 0.29, 0.29), units=UM, ratio=8.0)[1]
    assert (fits.found, fits.expected, fits.mark) == ("8, r = 8", "r = 8", Mark.GOOD)
    other = rows(only, scale=(1.16, 0.29, 0.29), units=UM, ratio=4.0)[1]
    assert (other.found, other.expected, other.mark) == ("8, r = 4", "r = 8", Mark.WARN)
    assert "made for r = 8, not for r = 4" in other.advice


def test_a_dense_stack_may_simulate_what_a_sparse_model_needs(card):
    dense = rows(card(ratios=(8,)), scale=(0.29,) * 3, units=UM, ratio=1.0)[1]
    assert "choose r = 8 and simulate it" in dense.advice


def test_a_dense_model_says_what_a_sparse_stack_lacks(card):
    sparse = rows(card(ratios=(1,)), scale=(1.16, 0.29, 0.29), units=UM, ratio=4.0)[1]
    assert sparse.mark is Mark.WARN
    assert "fewer planes than the model needs" in sparse.advice
