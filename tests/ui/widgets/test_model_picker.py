"""Only topologies that a model serves can be chosen; the others say why."""

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtCore import Qt

from napari_sparsessp.ui.layers.reading import read_layer
from napari_sparsessp.ui.widgets.card_text import TOPOLOGIES, Quality
from napari_sparsessp.ui.widgets.model_picker import (
    IMPORT,
    TopologyDrawing,
    TopologyPicker,
)


@pytest.fixture
def picker(added):
    return added(TopologyPicker())


def test_unserved_topologies_are_off_and_say_why(picker, card):
    picker.set_cards([card()])
    on = [name for name, button in picker.buttons.items() if button.isEnabled()]
    assert on == ["3to2d"]
    assert "no installed model" in picker.buttons["3d"].toolTip()
    assert "3D, 2D, 2D → 3D: no installed model" in picker.note.text()


def test_a_click_on_a_diagram_takes_its_model(picker, qtbot, card):
    flat = card(id="flat", topology="2d", name="Flat")
    picker.set_cards([card(), flat])
    assert picker.card().id == "colony-3to2d"
    with qtbot.waitSignal(picker.changed):
        picker.buttons["2d"].click()
    assert picker.card() == flat
    picker.set_cards([card(), flat], default="flat")
    assert picker.card() == picker.served()["2d"] == flat


def test_choosing_another_model_of_the_box_is_emitted_once(picker, card):
    picker.set_cards([card(), card(id="mine", name="Mine")])
    told = []
    picker.changed.connect(lambda: told.append(picker.card().id))
    row = picker.model_box.findData("mine")
    for _ in range(2):
        picker.model_box.setCurrentIndex(row)
        picker.model_box.activated.emit(row)
    assert told == ["mine"]


NEURONS = {
    "id": "neurons",
    "name": "Neurons",
    "structures": ("dapi", "map2", "nfh"),
    "topology": "2d",
    "modality": "phase contrast",
    "ratios": (1,),
    "patch": (13, 192, 192),
}


def test_models_that_fit_the_stack_are_first_and_say_why(picker, card, qtbot):
    own = card(id="own", topology="3d", structures=("dna",), name="Own")
    picker.set_cards([card(), card(**NEURONS), own])

    def listed(name, planes=8, others=()):
        layer = Image(np.zeros((planes, 9, 9)), name=name, contrast_limits=(0, 1))
        picker.show_fit(read_layer(layer), None, others)
        return [picker.model_box.itemText(row) for row in range(3)]

    assert [text.split()[0] for text in listed("stack")] == ["Colony", "Neurons", "Own"]
    assert "fits" not in "".join(listed("stack"))
    stains = ["a · DAPI · truth", "a · MAP2 · truth", "a · NFH · truth"]
    first, *others = listed("a · Phase contrast", 13, stains)
    assert first.endswith("2D · fits: phase contrast, DAPI, MAP2, NFH, 13 planes")
    assert "fits: phase" not in "".join(others)
    assert picker.card().id == "colony-3to2d", "the choice is the user's"
    assert "Neurons fits better: phase contrast" in picker.note.text()
    with qtbot.waitSignal(picker.changed):
        picker.model_box.setCurrentIndex(0)
        picker.model_box.activated.emit(0)
    assert picker.card().id == "neurons"
    assert picker.buttons["2d"].isChecked()
    assert "fits better" not in picker.note.text()
    assert picker.model_box.currentText() == "Neurons 0.1 · 2D"
    assert listed("a · Bright-field", others=["a · DNA"])[0].startswith("Own")


def test_of_two_models_with_one_id_the_first_counts(picker, card):
    picker.set_cards([card(name="first"), card(id="b"), card(name="second")])
    assert picker.card().name == "first"
    assert picker.model_box.findText("second", Qt.MatchFlag.MatchStartsWith) < 0


def test_importing_is_offered_also_where_no_model_is(picker, qtbot):
    assert picker.card() is None
    assert "reinstall" in picker.note.text()
    row = picker.model_box.findData(IMPORT)
    with qtbot.waitSignal(picker.import_asked):
        picker.model_box.setCurrentIndex(row)
        picker.model_box.activated.emit(row)
    assert not picker.info_button.isEnabled()


def test_diagrams_say_what_is_to_be_expected_of_them(picker, card):
    picker.set_cards([card(), card(id="flat", topology="2d", name="Flat")])
    before, picture = picker.buttons["2d"].sizeHint().height(), picker.grab().toImage()
    quality = Quality(0.349, "16 held-out colonies")
    picker.show_prospects({"2d": (quality, 12.3), "3to2d": (None, None)})
    flat = picker.buttons["2d"]
    assert flat.accessibleName() == "Topology 2D, R² 0.35, ≈ 12 s"
    assert flat.sizeHint().height() > before
    assert picker.grab().toImage() != picture
    assert "measured on 16 held-out colonies" in flat.toolTip()
    assert picker.buttons["3to2d"].accessibleName() == "Topology 3D → 2D"
    real = Quality(0.2, "a field", "real cells, held out")
    simulated = Quality(0.7, "16 colonies", "simulated test cells")
    picker.show_prospects({"2d": (real, None), "3to2d": (simulated, None)})
    assert flat.accessibleName() == "Topology 2D, R² 0.20 real"
    assert picker.buttons["3to2d"].accessibleName().endswith("R² 0.70 sim.")


def test_limits_and_cost_of_a_model_are_always_in_sight(picker, card):
    limit = "Imported: nothing is known."
    picker.set_cards([card(conditioning="repmode", limits=(limit,))])
    assert f"\n{limit}\n" in picker.note.text()
    assert "12 take 12 times as long" in picker.note.text()


def test_each_topology_is_drawn_by_a_picture_of_its_own(added):
    drawing = added(TopologyDrawing())
    pictures = [drawing.grab().toImage()]
    for topology in TOPOLOGIES:
        drawing.set_topology(topology)
        assert drawing.grab().toImage() not in pictures
        pictures.append(drawing.grab().toImage())
