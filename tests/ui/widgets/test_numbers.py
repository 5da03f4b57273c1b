"""A number that is shown is read as the same number, in every locale."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import QLocale, Qt

from napari_sparsessp import ui
from napari_sparsessp.ui.widgets.card_text import r2_text, ratios_text
from napari_sparsessp.ui.widgets.numbers import NumberBox, read_number, write_number
from napari_sparsessp.ui.widgets.stack_input import InputPanel, size_text

LOCALES = ("C", "de_DE", "fr_FR", "hi_IN", "ar_EG")


@pytest.fixture(params=LOCALES)
def locale(request, qapp):
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(QLocale.c())


@pytest.fixture
def box(locale, added):
    box = added(NumberBox())
    box.setRange(0, 1000)
    box.setDecimals(4)
    return box


def typed(qtbot, field, text):
    field.selectAll()
    qtbot.keyClicks(field, text)
    qtbot.keyClick(field, Qt.Key.Key_Return)


@pytest.mark.parametrize("text", ["0.3", "0,3", " 0,30 ", "0.300"])
def test_a_point_and_a_comma_are_understood_everywhere(box, qtbot, text):
    assert read_number(text) == 0.3
    typed(qtbot, box, text.strip())
    assert box.value() == 0.3


def test_what_is_shown_is_read_as_the_same(box):
    @given(st.integers(0, 10_000_000))
    def check(number):
        value = number / 10_000
        assert read_number(write_number(value)) == pytest.approx(value, rel=1e-9)
        box.setValue(value)
        assert read_number(box.text()) == value
        assert box.valueFromText(box.text()) == value
        assert box.validate(box.text(), 0)[0] == box.validate("1", 0)[0]

    check()


def test_a_voxel_size_stays_after_return(locale, added, qtbot):
    """Return once made 116 µm of 1.16 where a comma marks decimals."""
    panel = added(InputPanel())
    panel.type_voxel_size((1.16, 0.29, 0.065))
    for axis in "zyx":
        qtbot.keyClick(panel.size.native(axis), Qt.Key.Key_Return)
    assert panel.typed_voxel_size() == (1.16, 0.29, 0.065)
    typed(qtbot, panel.size.native("z"), "0.3")
    typed(qtbot, panel.size.native("y"), "0,3")
    assert panel.typed_voxel_size() == (0.3, 0.3, 0.065)


@pytest.mark.parametrize("text", ["", ",", "0,3,", "1.234,5", "often", "nan"])
def test_what_is_no_number_is_none(text):
    assert read_number(text) is None


def test_labels_are_written_alike(locale):
    mark = QLocale().decimalPoint()
    assert r2_text(-0.614) == f"\u22120{mark}61"
    assert ratios_text((1, 2.5)) == f"r = 1, 2{mark}5"
    assert size_text((0.29,) * 3) == f"0{mark}29 µm"


def test_no_other_field_reads_numbers():
    for path in Path(ui.__file__).parent.rglob("*.py"):
        boxes = re.findall("QDoubleValidator|QDoubleSpinBox|QSpinBox", path.read_text())
        assert not boxes or path.name in ("numbers.py", "forms.py", "style.py"), path
