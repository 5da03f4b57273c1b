"""The base of the dialogs that fetch, open or import something in the background."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_sparsessp.ui.tasks import BackgroundTask, error_details, readable_error
from napari_sparsessp.ui.widgets.basic import SHARES, MessageBox, in_a_row, small_label
from napari_sparsessp.ui.widgets.style import Dress, duration_text

# an estimate of the first tiles or kilobytes is no estimate
_LEAST_SHARE = 0.02


class TaskDialog(QDialog):
    """Rows over a progress bar, a status line and two buttons; non-modal.

    `start_button` begins the work, `close_button` stops it or closes the dialog, as
    Escape does. One task runs at a time; it ends with the dialog.
    """

    STOPPED = "Stopped."

    def __init__(
        self, title: str, work: str, start: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        Dress(self)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._work = work
        self._task: BackgroundTask | None = None
        self._returned: Callable[[Any], None] | None = None
        self.message = MessageBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName(f"Progress of {work}")
        self.bar.hide()
        self.status = small_label("", "muted")
        self.close_button = QPushButton("Close")
        self.start_button = QPushButton(start)
        self.start_button.setProperty("role", "run")
        self.start_button.setDefault(True)
        self.close_button.clicked.connect(self.reject)

    def arrange(self, *rows: QWidget, stretched: QWidget | None = None) -> None:
        """Put rows above the bar and the buttons; one of them may take spare room."""
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(9)
        for row in rows:
            column.addWidget(row, 1 if row is stretched else 0)
        column.addStretch(0 if stretched is not None else 1)
        column.addWidget(self.bar)
        column.addLayout(in_a_row(self.status, self.close_button, self.start_button))

    @property
    def busy(self) -> bool:
        """Whether a task runs."""
        return self._task is not None

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        returned: Callable[[Any], None],
        status: str,
    ) -> None:
        """Run ``function(*args, progress)`` in place of what ran before.

        `status` is shown until the first progress.
        """
        self.end_task()
        self.message.clear()
        task = BackgroundTask(function, *args, parent=self)
        task.progressed.connect(self.show_progress)
        task.returned.connect(self._on_returned)
        task.failed.connect(self.on_failed)
        task.cancelled.connect(self._on_cancelled)
        self._task, self._returned = task, returned
        self.set_busy(True)
        self.status.setText(status)
        task.start()

    def end_task(self) -> None:
        """Free the dialog; a thread that still runs ends by itself."""
        if self._task is not None:
            self._task.abandon()
            self._task = None
            self.set_busy(False)

    def stop(self) -> None:
        """Stop at once: a server may be silent for half a minute."""
        self.end_task()
        self.status.setText(self.STOPPED)

    def set_busy(self, busy: bool) -> None:
        """Show whether a task runs."""
        self.bar.setRange(0, 0 if busy else SHARES)
        self.bar.setVisible(busy)
        self.close_button.setText("Stop" if busy else "Close")
        self.start_button.setEnabled(not busy)
        if not busy:
            self.status.setText("")

    def show_progress(self, share: float, what: str, left: float | None) -> None:
        """Show how far the task is."""
        if not what:
            return
        self.bar.setRange(0, SHARES if share > 0 else 0)
        self.bar.setValue(round(SHARES * share))
        end = "…"
        if left is not None and _LEAST_SHARE < share < 1:
            end = f", {duration_text(left)} left"
        self.status.setText(f"{what[:1].upper()}{what[1:]}{end}")

    def on_failed(self, error: Exception) -> None:
        """Free the dialog and show the error."""
        self.end_task()
        readable = readable_error(error, self._work)
        self.message.show_error(str(readable), error_details(readable))
        self.fit()

    def _on_returned(self, result: Any) -> None:
        returned = self._returned
        self.end_task()
        if returned is not None:
            returned(result)

    def _on_cancelled(self) -> None:
        self.end_task()
        self.status.setText(self.STOPPED)

    def fit(self) -> None:
        """Grow until all texts have room; Qt does not do so for dialogs."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        needed = layout.totalHeightForWidth(self.width())
        self.resize(self.width(), max(self.height(), needed))

    def reject(self) -> None:
        """Stop the task, or close the dialog."""
        if self.busy:
            self.stop()
        else:
            super().reject()

    def closeEvent(self, event: Any) -> None:
        """End the task with the dialog."""
        self.end_task()
        super().closeEvent(event)
