"""The gallery's cards and the dialog that gets a model, without a viewer."""

import threading

import pytest
from qtpy.QtWidgets import QWidget

from cut_text import cut_text
from napari_sparsessp.models.gallery import (
    UNSEEN,
    accept,
    installed_ids,
    is_accepted,
    read_gallery,
    state_of,
)
from napari_sparsessp.models.library import read_card
from napari_sparsessp.ui.models import gallery as module
from napari_sparsessp.ui.models.gallery import GalleryView
from napari_sparsessp.ui.models.get_dialog import GetDialog


@pytest.fixture
def view(added):
    """The packaged gallery at the narrowest width."""
    view = added(GalleryView())
    view.resize(320, 700)
    view.show_entries(read_gallery(), {"gvt-dna": "yours", "gvt-er": "partly"})
    assert view.cards == []  # not before it is seen
    view.open()
    view.show()
    return view


@pytest.fixture
def owner(added):
    """Takes its dialogs along, and their threads have time to end."""
    return added(QWidget())


@pytest.fixture
def get(owner):
    def go(entry):
        dialog = GetDialog(entry, owner)
        dialog.show()
        return dialog

    return go


def shown(view):
    return [card.entry.id for card in view.cards if card.isVisibleTo(view)]


def card_of(view, id_):
    return next(card for card in view.cards if card.entry.id == id_)


def test_filters_and_words_leave_the_cards_that_fit(view):
    assert shown(view)[0] == "gvt-all-twelve"
    assert len(shown(view)) == 20
    view.modality.setCurrentIndex(view.modality.findData("quantitative phase"))
    assert len(shown(view)) == 4
    view.search.setText("neuromast")
    assert shown(view) == ["cytoland-vsneuromast"]
    assert view.count.text().startswith("1 of 20 published models.")
    view.search.clear()
    view.modality.setCurrentIndex(0)
    view.structure.setCurrentIndex(view.structure.findData("golgi_apparatus"))
    assert shown(view) == ["gvt-all-twelve", "gvt-golgi"]


def test_a_card_offers_what_its_state_allows(view):
    asked, used = [], []
    view.get_asked.connect(lambda entry: asked.append(entry.id))
    view.use_asked.connect(lambda entry: used.append(entry.id))
    for id_ in ("gvt-dna", "gvt-er", "gvt-golgi"):
        card_of(view, id_).button.click()
    assert (asked, used) == (["gvt-er", "gvt-golgi"], ["gvt-dna"])
    assert card_of(view, "gvt-er").state_label.text() == "A part is here already."
    by_hand = card_of(view, "allen-lf-dna")
    assert by_hand.button.isHidden()
    assert "Quilt" in by_hand.how.text()


def test_a_link_opens_on_a_click_only(view, monkeypatch):
    opened = []
    service = module.QDesktopServices
    monkeypatch.setattr(service, "openUrl", lambda url: opened.append(url.toString()))
    card = card_of(view, "gvt-dna")
    assert opened == []
    card.cite_button.click()
    card.page_button.click()
    assert opened == [
        "https://doi.org/10.1038/s42256-020-00283-x",
        "https://github.com/divelab/GVTNets",
    ]


def test_nothing_is_cut_in_a_narrow_gallery(view, qtbot):
    qtbot.wait(50)
    assert cut_text(view) == []
    last, body = view.cards[-1], view.scroll.widget()
    assert body.height() - last.geometry().bottom() < 20  # nothing empty below it


def test_nothing_is_fetched_before_the_licence_is_accepted(get, served_gallery, qtbot):
    entry = served_gallery.add("real-dna")
    dialog = get(entry)
    assert cut_text(dialog) == []
    dialog.close()
    assert not is_accepted(entry)
    assert served_gallery.server.asked == []
    dialog = get(entry)
    assert dialog.start_button.text() == "Accept and get"
    with qtbot.waitSignal(dialog.installed):
        dialog.start_button.click()
    assert is_accepted(entry)
    assert UNSEEN in dialog.message.text.text().lower()
    assert read_card("real-dna").source["sha256"][:16] in dialog.message.text.text()
    assert dialog.start_button.text() == "Predict with it"
    with qtbot.waitSignal(dialog.use_asked):
        dialog.start_button.click()


def test_an_error_is_one_message_and_the_button_is_free(get, served_gallery, qtbot):
    entry = served_gallery.add("real-dna")
    served_gallery.server.files["real-dna/model.p"] = b"another file"
    dialog = get(entry)
    dialog.start_button.click()
    qtbot.waitUntil(lambda: dialog.message.is_error)
    assert "has changed on the server" in dialog.message.text.text()
    assert dialog.start_button.isEnabled()
    assert dialog.start_button.text() == "Get"  # the licence is accepted
    assert installed_ids() == {}


def test_stop_frees_the_dialog_at_once_and_keeps_what_came(get, served_gallery, qtbot):
    entry = served_gallery.add("real-dna")
    accept(entry)
    server = served_gallery.server
    server.hold, server.cut = threading.Event(), 40_000
    dialog = get(entry)
    dialog.start_button.click()
    qtbot.waitUntil(lambda: "0.0 of" in dialog.status.text())
    assert dialog.close_button.text() == "Stop"
    dialog.close_button.click()
    assert not dialog.busy
    assert "Get resumes" in dialog.status.text()
    assert state_of(entry, installed_ids()) == "partly"
    server.hold.set()


def test_a_pixel_that_nobody_has_published_is_asked_for(get, served_gallery, qtbot):
    dialog = get(served_gallery.add("flat", voxel_um=None))
    assert not dialog.start_button.isEnabled()
    dialog.form.native("pixel").setText("0.325")
    assert dialog.start_button.isEnabled()
    with qtbot.waitSignal(dialog.installed):
        dialog.start_button.click()
    assert read_card("flat").voxel_size == (0.325, 0.325, 0.325)
