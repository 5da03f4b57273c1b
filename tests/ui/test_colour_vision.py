"""What colours tell can be seen by every eye, or is told by a shape or word as well."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from qtpy.QtCore import QPointF
from qtpy.QtGui import QColor, QImage, QPainter, QPalette
from qtpy.QtWidgets import QWidget

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import CATALOGUE, structure_or_custom
from napari_sparsessp.ui.preferences import CLASSIC, Preferences, read_own_colours
from napari_sparsessp.ui.widgets.basic import Mark, draw_mark
from napari_sparsessp.ui.widgets.style import Tones
from vision import VISION, contrast, distances

# A difference that nobody overlooks side by side; 2.3 is just noticeable.
CLEAR = 10

THEMES = {"dark": ("#262930", "#f0f1f2"), "light": ("#efebe9", "#3b3a39")}


@pytest.fixture(params=THEMES)
def tones(request, added):
    back, text = THEMES[request.param]
    widget = added(QWidget())
    palette = widget.palette()
    palette.setColor(QPalette.ColorRole.Window, QColor(back))
    palette.setColor(QPalette.ColorRole.WindowText, QColor(text))
    widget.setPalette(palette)
    return Tones.of(widget)


@pytest.mark.parametrize("vision", VISION)
def test_the_usual_palette_is_safe(vision):
    for ids in (tuple(CATALOGUE), ("dapi", "map2", "nfh")):
        colours = [Preferences().colour(id_) for id_ in ids]
        assert distances(colours, vision).min() > 14


def test_the_classic_palette_is_not_and_names_each_structure_once():
    """So that the page's words stay true."""
    worst = min(distances(list(CLASSIC.values()), one).min() for one in VISION)
    assert worst < CLEAR
    assert list(CLASSIC) == list(CATALOGUE)
    assert len(set(CLASSIC.values())) == 12


def test_a_models_own_structures_take_safe_colours_with_their_name_beside():
    """Two may share a colour: the table and the layers name them."""
    made = [structure_or_custom(f"marker_{number}") for number in range(20)]
    assert {one.colour for one in made} <= {one.colour for one in CATALOGUE.values()}
    assert len({one.label for one in made}) == 20


def test_marks_and_texts_stand_out_from_what_is_behind_them(tones):
    """Warn and bad are both for you; their marks tell them apart."""
    codes = [tones.good.name(), tones.warn.name(), tones.bad.name()]
    for vision in VISION:
        assert distances(codes, vision)[0].min() > CLEAR
    back = tones.back.name()
    for name in ("good", "warn", "bad"):
        assert contrast(getattr(tones, name).name(), back) > 4.5, name
    assert contrast(tones.text.name(), back) > 7
    assert contrast(tones.muted.name(), back) > 4.5
    assert contrast(tones.accent.name(), back) > 3


def test_marks_differ_without_any_colour(tones):
    """Each mark, drawn in one grey, is another picture."""
    same = replace(
        tones, good=tones.muted, warn=tones.muted, bad=tones.muted, line=tones.muted
    )
    pictures = []
    for mark in Mark:
        image = QImage(32, 32, QImage.Format.Format_Grayscale8)
        image.fill(0)
        painter = QPainter(image)
        draw_mark(painter, QPointF(16, 16), 14, mark, same)
        painter.end()
        bits = image.constBits().asstring(image.sizeInBytes())
        pictures.append(np.frombuffer(bits, np.uint8).astype(int))
    for one, other in combinations(pictures, 2):
        assert (np.abs(one - other) > 40).sum() > 30


def test_own_colours_are_written_as_people_write_them():
    found = read_own_colours("DNA: cyan; Lamin B1:#FF8800,, my_marker : red ")
    assert found == {
        "dna": "#00ffff",
        "nuclear_envelope": "#ff8800",
        "my_marker": "#ff0000",
    }
    preferences = Preferences(palette="classic", own_colours=found)
    assert preferences.colour("dna") == "#00ffff"
    assert preferences.colour("nucleolus") == CLASSIC["nucleolus"]
    assert read_own_colours("  ") == {}


@pytest.mark.parametrize("text", ["dna", "dna:", ": red", "dna: blurple", "dna=red"])
def test_what_is_no_colour_is_reported(text):
    with pytest.raises(InputError, match="write for example dna: cyan"):
        read_own_colours(text)
