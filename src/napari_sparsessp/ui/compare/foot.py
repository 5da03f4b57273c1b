"""Progress, messages and what can be taken along: the foot of the Compare dock."""

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMenu, QPushButton

from napari_sparsessp.ui.widgets.basic import SHARES, Foot, in_a_row

EXPORTS = {
    "csv": ("Table (CSV)…", "One line for each structure, for a spreadsheet."),
    "json": (
        "Report (JSON)…",
        "All scores, plane by plane, with what was compared, for programs.",
    ),
    "html": (
        "Page to look at (HTML)…",
        "One file with pictures of all planes, for any browser; needs no network.",
    ),
    "figure": (
        "Figure (PNG, SVG, PDF)…",
        "Light, truth, prediction and error of the ticked structures in the plane on "
        "screen, with the plots.",
    ),
}
"""Entry and tool tip by kind of file."""


class CompareFoot(Foot):
    """Bar, status, message and buttons.

    Signals
    -------
    export_asked : str
        A key of `EXPORTS`.
    copy_asked
    command_asked
        Copy the command line that gives what is compared.
    stop_asked
    """

    export_asked = Signal(str)
    copy_asked = Signal()
    command_asked = Signal()
    stop_asked = Signal()

    def __init__(self) -> None:
        super().__init__("the comparison")
        self.stop_button = QPushButton("Cancel")
        self.stop_button.setToolTip("Stop computing; what is done stays (Esc).")
        self.export_button = QPushButton("Export")
        self.export_button.setToolTip(
            "Save the scores, or a page or figure to show them (Ctrl+E)."
        )
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        for kind, (text, tip) in EXPORTS.items():
            action = self.menu.addAction(text)
            assert action is not None
            action.setToolTip(tip)
            action.triggered.connect(
                lambda _on=False, kind=kind: self.export_asked.emit(kind)
            )
        self.menu.addSeparator()
        self.command_action = self.menu.addAction("Copy as command line")
        self.command_action.setToolTip(
            "The exact `sparsessp predict …` that gives the same numbers and scores."
        )
        self.command_action.triggered.connect(lambda _on: self.command_asked.emit())
        self.export_button.setMenu(self.menu)
        self.copy_button = QPushButton("Copy table")
        self.copy_button.setToolTip(
            "Copy the scores with all digits, to paste into a spreadsheet."
        )
        self.stack(
            self.bar,
            in_a_row(self.status, self.stop_button),
            in_a_row(self.export_button, self.copy_button, stretched=2),
        )
        self.stop_button.clicked.connect(lambda _on: self.stop_asked.emit())
        self.copy_button.clicked.connect(lambda _on: self.copy_asked.emit())
        self.set_busy(False)
        self.set_exportable(False)

    def set_busy(self, busy: bool, text: str = "") -> None:
        """Show that something is computed, or what came of it."""
        self.bar.setVisible(busy)
        self.stop_button.setVisible(busy)
        self.set_status(text)
        self.status.setVisible(bool(text))

    def show_progress(
        self, share: float, text: str, _seconds_left: float | None = None
    ) -> None:
        """Move the bar."""
        self.bar.setValue(round(SHARES * share))
        self.set_status(text)

    def set_exportable(self, on: bool) -> None:
        """Allow what needs scores."""
        self.export_button.setEnabled(on)
        self.copy_button.setEnabled(on)
