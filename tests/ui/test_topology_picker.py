"""Only topologies that a model serves can be chosen; the others say why."""

from napari_sparsessp.ui.topology_picker import TopologyPicker


def test_unserved_topologies_are_off_and_say_why(qtbot, card):
    picker = TopologyPicker()
    qtbot.addWidget(picker)
    picker.set_cards([card()])
    on = [name for name, button in picker.buttons.items() if button.isEnabled()]
    assert on == ["3to2d"]
    assert "no installed model" in picker.buttons["3d"].toolTip()
    assert "3D, 2D, 2D → 3D: no installed model" in picker.note.text()


def test_a_click_on_a_diagram_takes_its_model(qtbot, card):
    picker = TopologyPicker()
    qtbot.addWidget(picker)
    flat = card(id="flat", topology="2d", name="Flat")
    picker.set_cards([card(), flat])
    assert picker.card().id == "colony-3to2d"
    with qtbot.waitSignal(picker.changed):
        picker.buttons["2d"].click()
    assert picker.card() == flat


def test_several_models_of_one_topology_are_offered(qtbot, card):
    picker = TopologyPicker()
    qtbot.addWidget(picker)
    picker.show()
    picker.set_cards([card(), card(id="mine", name="Mine")], default="mine")
    assert picker.model_box.isVisible()
    assert picker.card().id == "mine"


def test_first_limit_of_the_model_is_always_in_sight(qtbot, card):
    picker = TopologyPicker()
    qtbot.addWidget(picker)
    picker.set_cards([card()])
    assert "Trained on simulated cells only" in picker.note.text()


def test_no_model_says_what_to_do(qtbot):
    picker = TopologyPicker()
    qtbot.addWidget(picker)
    assert picker.card() is None
    assert "reinstall" in picker.note.text()
