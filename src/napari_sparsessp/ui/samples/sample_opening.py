"""Open samples from a dock: the dialog, and the layers in the dock's own viewer."""

from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_sparsessp.ui.samples.sample_dialog import SampleDialog
from napari_sparsessp.ui.samples.samples import sample_layers
from napari_sparsessp.ui.tasks import readable_error


class SampleOpening(QObject):
    """Asks which sample, and adds its layers.

    Parameters
    ----------
    viewer : napari.Viewer
    owner : QWidget
        The dock.

    Attributes
    ----------
    dialog : SampleDialog or None
        While it is open.

    Signals
    -------
    failed : SparseSSPError
        A sample that is here cannot be opened.
    """

    failed = Signal(object)

    def __init__(self, viewer: Any, owner: QWidget) -> None:
        super().__init__(owner)
        self._viewer = viewer
        self._owner = owner
        self.dialog: SampleDialog | None = None

    def ask(self) -> None:
        """Show the samples; the chosen one is opened."""
        if self.dialog is None:
            self.dialog = SampleDialog(self._owner)
            self.dialog.ready.connect(self.open)
            self.dialog.finished.connect(self._on_finished)
        self.dialog.show()
        self.dialog.raise_()

    def open(self, key: str) -> None:
        """Add the layers of a sample that is here."""
        try:
            for data, attributes, _kind in sample_layers(key):
                self._viewer.add_image(data, **attributes)
        except Exception as error:
            self.failed.emit(readable_error(error, "the sample"))

    def _on_finished(self, _result: int) -> None:
        self.dialog = None
