"""Finds text that does not fit where it stands."""

import re

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QFont, QFontMetrics, QTextDocument
from qtpy.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QLabel,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QTabBar,
    QWidget,
)

# A pixel or two of a letter's side bearing are no cut text.
_SLACK = 2


def cut_text(root: QWidget) -> list[str]:
    """List what is cut in a widget that is shown, as "Class: text (needs, has)"."""
    found = []
    for widget in root.findChildren(QWidget):
        if not widget.isVisibleTo(root) or widget.width() <= 0:
            continue
        if isinstance(widget, QScrollArea):
            found += _scrolled(widget)
        need = _need(widget)
        if need is None:
            continue
        kind, text, needed, has = need
        if needed > has + _SLACK:
            found.append(f"{kind}: {text!r} needs {needed} of {has}")
    return found


def _scrolled(area: QScrollArea) -> list[str]:
    """What sticks out of a form that scrolls up and down only."""
    off = area.horizontalScrollBarPolicy() == Qt.ScrollBarPolicy.ScrollBarAlwaysOff
    inside, port = area.widget(), area.viewport()
    if not off or inside is None or inside.width() <= port.width() + _SLACK:
        return []
    wide = [
        f"{type(one).__name__} {one.minimumSizeHint().width()}"
        for one in inside.findChildren(QWidget)
        if one.isVisibleTo(inside) and one.minimumSizeHint().width() > port.width() - 60
    ]
    return [f"a form of {inside.width()} in {port.width()}: {', '.join(wide[:6])}"]


def _need(widget: QWidget) -> tuple[str, str, int, int] | None:
    kind = type(widget).__name__
    if isinstance(widget, QLabel) and widget.text():
        return _label(widget, kind)
    if isinstance(widget, QPushButton | QCheckBox | QRadioButton) and widget.text():
        text = widget.text().replace("&", "")
        if isinstance(widget, QPushButton):
            return kind, text, _bold(widget, text), widget.width() - 6
        return kind, text, widget.minimumSizeHint().width(), widget.width()
    if isinstance(widget, QAbstractButton) and widget.text():
        return kind, widget.text(), _advance(widget, widget.text()), widget.width()
    if isinstance(widget, QTabBar):
        return kind, "tabs", widget.sizeHint().width(), widget.width()
    if isinstance(widget, QComboBox) and not widget.property("elides"):
        text = widget.currentText()
        return kind, text, _advance(widget, text), widget.width() - 18
    return None


def _label(label: QLabel, kind: str) -> tuple[str, str, int, int] | None:
    text = label.text()
    room = label.contentsRect()
    if label.wordWrap():
        words = re.split(r"[\s\u200b]+", re.sub(r"<[^>]*>", "", text))
        widest = max((_advance(label, word) for word in words), default=0)
        if widest > room.width() + _SLACK:
            return kind, text, widest, room.width()
        needed = label.heightForWidth(label.width())
        return kind, text, needed, label.height()
    if "…" in text or "<" not in text:
        return kind, text, _lines(label, text), room.width()
    page = QTextDocument()
    page.setDefaultFont(label.font())
    page.setHtml(text)
    page.setDocumentMargin(0)
    return kind, text, round(page.idealWidth()), room.width()


def _lines(widget: QWidget, text: str) -> int:
    return max((_advance(widget, line) for line in text.splitlines()), default=0)


def _bold(button: QPushButton, text: str) -> int:
    """Width of a button's text, bold while it is down (ui/widgets/style.py)."""
    font = QFont(button.font())
    if button.isChecked():
        font.setWeight(QFont.Weight.DemiBold)
    return QFontMetrics(font).horizontalAdvance(text)


def _advance(widget: QWidget, text: str) -> int:
    bounds: QRect = widget.fontMetrics().boundingRect(text)
    return bounds.width()
