"""What every dock is made of: a form that fills it, and a look ahead after a change."""

from collections.abc import Callable

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget


def fill_with(dock: QWidget, form: QWidget) -> None:
    """Let a form take all of a dock.

    Parameters
    ----------
    dock, form : QWidget
    """
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.addWidget(form)
    # without it napari puts an empty stretch below the form
    dock.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)


def settling(dock: QWidget, look: Callable[[], None], after_ms: int) -> QTimer:
    """Give a timer that looks once the changes are over; each change starts it anew.

    Parameters
    ----------
    dock : QWidget
        Owns the timer.
    look : callable
    after_ms : int
    """
    timer = QTimer(dock)
    timer.setSingleShot(True)
    timer.setInterval(after_ms)
    timer.timeout.connect(look)
    return timer
