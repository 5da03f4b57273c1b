"""Finds text that does not fit where it stands; run as a program, in every dock.

``python tests/cut_text.py WIDTH [FOLDER]`` opens each dock of the manifest with the
sample, WIDTH wide, in both themes, and prints what is cut as JSON; with FOLDER it saves
a picture of each. QT_FONT_DPI=144 in the environment makes all text half as large
again, as a desktop at 150 % does.
"""

import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from qtpy.QtCore import QRect, Qt
from qtpy.QtGui import QFont, QFontMetrics, QTextDocument
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QTabBar,
    QWidget,
)

_HEIGHT = 900
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
    """Width of a button's text; of one that is down it is bold (widgets/style.py)."""
    font = QFont(button.font())
    if button.isChecked():
        font.setWeight(QFont.Weight.DemiBold)
    return QFontMetrics(font).horizontalAdvance(text)


def _advance(widget: QWidget, text: str) -> int:
    bounds: QRect = widget.fontMetrics().boundingRect(text)
    return bounds.width()


def _samples(window: QWidget, theme: str, folder: Path | None) -> list[str]:
    """What is cut in the dialog of samples, whichever is chosen."""
    from napari_sparsessp.io.samples import PUBLIC_SAMPLES
    from napari_sparsessp.ui.samples import SampleDialog

    dialog = SampleDialog(window)
    dialog.show()
    found = []
    for key in PUBLIC_SAMPLES:
        dialog.choose(key)
        _wait(0.2)
        found += cut_text(dialog)
    if folder is not None:
        dialog.grab().save(str(folder / f"cut_samples_{theme}.png"))
    dialog.close()
    return found


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def main() -> int:
    """Open each dock and print what is cut."""
    width = int(sys.argv[1])
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory() as settings:
        os.environ["NAPARI_CONFIG"] = str(Path(settings) / "settings.yaml")
        os.environ["SPARSESSP_CONFIG"] = settings
        os.environ["SPARSESSP_MODELS"] = str(Path(settings) / "models")
        print(json.dumps(look(width, folder)))
    return 0


def look(width: int, folder: Path | None) -> dict[str, list[str]]:
    """Give what is cut, by theme and dock.

    Parameters
    ----------
    width : int
        Pixels, of each dock.
    folder : Path or None
        Where pictures go.
    """
    import napari
    from napari.settings import get_settings
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-sparsessp")
    names = [one.display_name for one in manifest.contributions.widgets]
    viewer = napari.Viewer(show=False)
    viewer.open_sample("napari-sparsessp", "sparse_colony")
    outers = {
        name: viewer.window.add_plugin_dock_widget("napari-sparsessp", name)[0]
        for name in names
    }
    found = {}
    for theme in ("dark", "light"):
        get_settings().appearance.theme = theme
        for name, outer in outers.items():
            outer.setFloating(True)
            outer.show()
            outer.resize(width, _HEIGHT)
            _wait(1.2)
            found[f"{theme}: {name}"] = cut_text(outer.widget())
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                scale = os.environ.get("QT_FONT_DPI", "96")
                picture = f"cut_{name.split()[0]}_{theme}_{width}_{scale}.png"
                outer.grab().save(str(folder / picture))
        found[f"{theme}: samples"] = _samples(viewer.window._qt_window, theme, folder)
    viewer.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
