"""The panel for the stack: layer, channel and what the user knows of its size."""

import numpy as np
import pytest
from napari.layers import Image

from napari_sparsessp.ui.layers.reading import read_layer
from napari_sparsessp.ui.widgets.stack_input import InputPanel


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
    panel._fields["z"].setText("1.0")
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
