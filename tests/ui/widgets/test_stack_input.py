"""The stack: layer, channel and voxel size, and what a model expects of it."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from napari.layers._source import Source

from napari_sparsessp.ui.layers.reading import read_layer
from napari_sparsessp.ui.widgets.basic import Mark, MarkDot
from napari_sparsessp.ui.widgets.stack_input import InputPanel, expectations, size_text

UM = ("um",) * 3


@pytest.fixture
def panel(qtbot, added):
    panel = added(InputPanel())
    qtbot.addWidget(panel.edit_button)
    panel.show()
    return panel


def reading(shape, **changes):
    return read_layer(Image(np.zeros(shape), contrast_limits=(0, 1), **changes))


def test_the_chosen_layer_stays_when_others_come_and_go(panel):
    panel.set_layers([("a", "one"), ("b", "two")])
    panel.choose_layer("b")
    panel.set_layers([("c", "new"), ("b", "renamed")])
    assert panel.layer_key() == "b"
    assert panel.layer_box.currentText() == "renamed"
    panel.set_layers([("c", "new")])
    assert panel.layer_key() == "c"


def test_a_size_is_asked_for_where_it_is_unknown_and_corrected_on_demand(panel):
    panel.show_reading(reading((8, 9, 9), scale=(1, 0.3, 0.3), units=UM))
    assert not panel._size_row.isVisible()
    panel.edit_button.click()
    assert panel._size_row.isVisible()
    panel.show_reading(reading((8, 9, 9)))
    assert (panel.leading(), panel.channel()) == (None, None)
    assert panel._size_row.isVisible()
    panel.size.native("z").setText("1.0")
    assert panel.typed_voxel_size() is None
    assert panel.half_typed()
    panel.type_voxel_size((1, 0.5, 0.25))
    assert panel.typed_voxel_size() == (1, 0.5, 0.25)


def test_a_typed_size_is_applied_to_the_layer_and_the_others_of_its_file(panel):
    viewer = ViewerModel()
    light, truth, other = (
        viewer.add_image(np.zeros((2, 8, 9, 9)), translate=(0, 0, 10, 0))
        for _ in range(3)
    )
    for layer, path in zip(viewer.layers, ("a.tif", "a.tif", "b.tif"), strict=True):
        layer._source = Source(path=path)
    panel.set_layers([(str(layer.unique_id), layer.name) for layer in viewer.layers])
    panel.show_reading(read_layer(light, leading="T"))
    assert not panel.apply_button.isVisible()
    panel.type_voxel_size((1.16, 0.5, 0.25))
    panel.show_reading(read_layer(light, leading="T", voxel_size=(1.16, 0.5, 0.25)))
    assert panel.apply_button.isVisible()
    panel.apply_voxel_size(viewer)
    for layer in (light, truth):
        assert tuple(layer.scale) == (1, 1.16, 0.5, 0.25)
        assert tuple(layer.translate) == (0, 0, 5, 0)
        assert list(map(str, layer.units)) == ["pixel", *["micrometer"] * 3]
    assert tuple(other.scale) == (1, 1, 1, 1)
    assert panel.typed_voxel_size() is None


def test_a_typed_size_belongs_to_its_layer(panel):
    panel.set_layers([("a", "one"), ("b", "two")])
    panel.type_voxel_size((1, 1, 1))
    panel.set_layers([("a", "one"), ("b", "two"), ("c", "three")])
    assert panel.typed_voxel_size() == (1, 1, 1)
    panel.choose_layer("b")
    assert panel.typed_voxel_size() is None


def test_a_long_name_keeps_both_ends(panel):
    """Names that differ in the middle alone look alike."""
    pictures = []
    for name in ("one_middle_end", "one_muddle_end", "one_middle_and"):
        panel.set_layers([("a", f"a_very_long_{name * 4} · {name[-3:]}")])
        panel.layer_box.setFixedWidth(150)
        pictures.append(panel.layer_box.grab().toImage())
    assert pictures[0] == pictures[1] != pictures[2]
    assert panel.layer_box.toolTip().startswith("a_very_long_one")


def rows(card, shape=(8, 16, 16), channel=None, ratio=None, **changes):
    layer = Image(np.zeros(shape, np.uint8), contrast_limits=(0, 1), **changes)
    return expectations(card, read_layer(layer), channel, ratio)


def test_a_fitting_stack_is_all_green(card):
    place = {"scale": (1.16, 0.29, 0.29), "units": UM, "name": "a · Bright-field"}
    found = rows(card(), ratio=4.0, **place)
    assert [row.mark for row in found] == [Mark.GOOD] * 3
    assert [row.name for row in found] == ["Voxel size", "Planes", "Channel"]


def test_sizes_are_written_short():
    sizes = [(0.29, 0.29, 0.29), (1.16, 0.29, 0.29), (2.0, 0.065, 0.065)]
    said = [size_text(size).replace("\u2009", " ") for size in sizes]
    assert said == ["0.29 µm", "1.16 × 0.29 × 0.29 µm", "2 × 0.065 × 0.065 µm"]


def test_marks_are_given_in_words_as_well(panel, card):
    panel.show_expectations(rows(card()))
    dots = panel.table.findChildren(MarkDot)
    assert dots[0].accessibleName() == Mark.WARN.value


SIZE, PLANES, CHANNEL = range(3)


@pytest.mark.parametrize(
    ("row", "ratios", "layer", "mark", "words"),
    [
        (SIZE, (1, 2), {}, Mark.WARN, "Type the size"),
        (SIZE, (1, 2), {"scale": (1.16, 0.29, 0.29)}, Mark.WARN, "taken for µm"),
        (SIZE, (1, 2), {"scale": (1, 2, 2), "units": UM}, Mark.WARN, ""),
        (SIZE, (1, 2), {"scale": (1, 0.33, 0.3), "units": UM}, Mark.GOOD, ""),
        (PLANES, (1, 2), {"shape": (16, 16)}, Mark.WARN, ""),
        (PLANES, (1, 2, 4, 8), {"ratio": 20.7}, Mark.WARN, ""),
        (PLANES, (8,), {"ratio": 8.0}, Mark.GOOD, ""),
        (PLANES, (8,), {"ratio": 4.0}, Mark.WARN, "made for r = 8, not for r = 4"),
        (PLANES, (8,), {"ratio": 1.0}, Mark.WARN, "choose r = 8 and simulate it"),
        (PLANES, (1,), {"ratio": 4.0}, Mark.WARN, "fewer planes than the model needs"),
        (CHANNEL, (1,), {"shape": (3, 8, 16, 16)}, Mark.BAD, ""),
        (CHANNEL, (1,), {"shape": (3, 8, 16, 16), "channel": 1}, Mark.WAITING, ""),
        (CHANNEL, (1,), {"name": "a · Phase contrast"}, Mark.WARN, "is phase contrast"),
        (CHANNEL, (1,), {"name": "phase_1 · Bright field"}, Mark.GOOD, ""),
        (CHANNEL, (1,), {"name": "stack"}, Mark.WAITING, "does not say"),
    ],
)
def test_what_does_not_fit_is_marked_and_advised(card, row, ratios, layer, mark, words):
    if "ratio" in layer:
        layer = {"scale": (0.29 * layer["ratio"], 0.29, 0.29), "units": UM, **layer}
    found = rows(card(ratios=ratios), **layer)[row]
    assert found.mark is mark
    assert words in found.advice


def test_pixels_unlike_those_of_a_foreign_model_are_marked_sooner(card):
    place = {"scale": (0.29, 0.5, 0.5), "units": UM, "ratio": 1.0}
    foreign = card(source={"format": "GVTNet", "file": "model.index"})
    assert rows(card(), **place)[SIZE].mark is Mark.GOOD
    assert rows(foreign, **place)[SIZE].mark is Mark.WARN
