"""Checkpoints that are dropped onto a dock or dialog."""

from pathlib import Path
from typing import Any

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

SUFFIXES = (".p", ".pth", ".pt", ".ckpt", ".safetensors")


class CheckpointDrop(QObject):
    """Takes one checkpoint file at a time; everything else falls through.

    Parameters
    ----------
    widget : QWidget
        Where to drop; owns this object from now on.

    Signals
    -------
    dropped : str
        Path of the file.
    """

    dropped = Signal(str)

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: Any) -> bool:
        """Accept what can be imported."""
        kind = event.type()
        if kind in (QEvent.Type.DragEnter, QEvent.Type.DragMove, QEvent.Type.Drop):
            path = checkpoint_in(event.mimeData())
            if path is not None:
                event.acceptProposedAction()
                if kind == QEvent.Type.Drop:
                    self.dropped.emit(path)
                return True
        return super().eventFilter(watched, event)


def checkpoint_in(mime: Any) -> str | None:
    """Give the path of the one checkpoint that is being dragged; None for all else."""
    if mime is None or not mime.hasUrls() or len(mime.urls()) != 1:
        return None
    path = mime.urls()[0].toLocalFile()
    return path if Path(path).suffix.lower() in SUFFIXES else None
