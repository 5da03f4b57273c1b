"""The card of a model, and which of its buttons can be pressed."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QPushButton

from napari_sparsessp.models.library import Entry
from napari_sparsessp.models.verification import Verdict
from napari_sparsessp.ui.models.page import ModelPage
from napari_sparsessp.ui.widgets.basic import Mark
from napari_sparsessp.ui.widgets.charts import QualityTable

DIGITS = "0123456789abcdef" * 4


@pytest.fixture
def page(added):
    page = added(ModelPage())
    page.resize(420, 500)
    page.show()
    return page


def entry(card, shipped=False, **changes):
    return Entry(
        Path("/m/models/mine.safetensors"), card(**changes), "", 10**6, shipped
    )


def told(page):
    """All texts of the panel of the card."""
    return [label.text() for label in page.panels[-1].findChildren(type(page.title))]


def enabled(page):
    return {
        button.text()
        for button in page.findChildren(QPushButton)
        if button.isEnabled() and button.isVisibleTo(page)
    }


def test_own_models_can_be_renamed_and_deleted_and_shipped_ones_say_why_not(
    page, card, qtbot
):
    page.show_entry(entry(card))
    assert {"Use in Predict", "Check", "Export…", "Rename…", "Delete"} <= enabled(page)
    qtbot.waitUntil(lambda: page.verticalScrollBar().maximum() > 100)
    page.export_button.setFocus()
    page.set_busy(True)
    assert page.verticalScrollBar().value() == 0  # where the focus goes, it scrolls
    assert enabled(page) == {"Use in Predict", "Show the file"}
    page.set_busy(False)
    page.show_entry(entry(card, shipped=True))
    assert {"Rename…", "Delete"}.isdisjoint(enabled(page))
    for button in (page.rename_button, page.delete_button):
        assert "came with the plugin" in button.toolTip()


def test_a_damaged_file_can_only_be_shown_and_deleted(page):
    path = Path("/m/models/broken.safetensors")
    page.show_entry(Entry(path, None, "model file broken is damaged", 5, False))
    assert enabled(page) == {"Delete", "Show the file"}
    assert page.problem.is_error


def test_the_card_says_where_the_model_comes_from(page, card):
    source = {"format": "RepMode", "file": "a.p", "fetched": "https://a.org/x/b.p"}
    page.show_entry(entry(card, source={**source, "fetched_sha256": DIGITS}))
    quality, _ = page.panels
    assert "Compare a prediction" in quality.note.text()  # it has no scores
    assert quality.grid.isHidden()
    text = "\n".join(told(page)).replace("\u200b", "")  # it may break anywhere
    assert "Imported from RepMode, fetched from a.org" in text
    assert "SHA-256 of the download: 0123456789abcdef 0123456789abcdef" in text
    assert "/m/models/mine.safetensors" in text


@pytest.mark.parametrize(
    ("ok", "mark", "begin"),
    [(True, Mark.GOOD, "Checked: whole"), (False, Mark.BAD, "Do not use it: whole")],
)
def test_a_verdict_has_a_mark_and_words(page, card, ok, mark, begin):
    page.show_entry(entry(card))
    page.show_verdict(Verdict(ok, "whole"))
    assert page.verdict_dot.mark is mark
    assert page.verdict_text.text().startswith(begin)


def test_scores_say_on_which_cells_and_those_on_real_cells_stand_first(page, card):
    scores = {
        "16 colonies": {"r2_at_1": {"dna": 0.74}},
        "dna of 1 real pair(s)": {"at_1": {"r2": -0.09}},
    }
    old = "Of a, with which it began: Has seen one well."
    one = entry(card, scores=scores, limits=(old,), training_images=("0" * 64,))
    page.show_entry(one)
    page.show_entry(one)
    *tables, _ = page.panels
    assert [(one.title.text(), one.grid.accessibleDescription()) for one in tables] == [
        ("R² on real cells", "DNA: -0.09 at r = 1"),
        ("R² on simulated test cells", "DNA: 0.74 at r = 1"),
    ]
    assert all(
        one.isHidden() for one in page.findChildren(QualityTable) if one not in tables
    )
    assert "dna of 1 real pair" in tables[0].note.text()
    text = "\n".join(told(page))
    assert "1 stack of real cells" in text
    assert "• Of a, from which it was fine-tuned: Trained on one well." in text
