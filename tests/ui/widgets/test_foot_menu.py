"""Three dots from which a prediction is taken along."""

from napari_sparsessp.ui.predict.foot_menu import FootMenu


def test_each_entry_asks_for_one_thing(qtbot):
    menu = FootMenu()
    qtbot.addWidget(menu)
    for action, signal in (
        (menu.copy_action, menu.copy_asked),
        (menu.request_action, menu.request_asked),
        (menu.save_action, menu.save_asked),
    ):
        with qtbot.waitSignal(signal):
            action.trigger()


def test_it_is_known_by_name_and_teaches(qtbot):
    menu = FootMenu()
    qtbot.addWidget(menu)
    assert menu.accessibleName()
    for action in (menu.copy_action, menu.request_action, menu.save_action):
        assert action.toolTip() != action.text()
