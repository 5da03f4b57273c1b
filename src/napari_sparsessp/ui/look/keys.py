"""Keys that work while the focus is anywhere in a dock."""

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QWidget


def add_shortcut(widget: QWidget, keys: str, slot: Callable[[], None]) -> None:
    """Bind keys to a slot, for a widget and all that is in it.

    Parameters
    ----------
    widget : QWidget
    keys : str
        Such as ``Ctrl+R``.
    slot : callable
    """
    shortcut = QShortcut(QKeySequence(keys), widget)
    shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    shortcut.activated.connect(slot)
