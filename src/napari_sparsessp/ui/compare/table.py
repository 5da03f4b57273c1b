"""The table of scores: how well each structure agrees with its truth."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from qtpy.QtGui import QColor, QKeyEvent, QKeySequence
from qtpy.QtWidgets import QApplication

from napari_sparsessp.ui.widgets.numbers import local
from napari_sparsessp.ui.widgets.table import ROW, Column, Kind, RowsModel, RowsOrder
from napari_sparsessp.ui.widgets.table_view import RowsView

_MEASURES = (
    (
        "r2",
        "R²",
        "R² over all voxels against the z-scored truth: 1 is perfect, 0 is no better "
        "than a flat grey image, below 0 is worse than that.",
    ),
    (
        "pcc",
        "PCC",
        "Pearson's correlation over the stack: like R², but blind to brightness and "
        "contrast. A bare trend along z already scores; see PCC in planes in the tip "
        "of a cell.",
    ),
    (
        "ssim",
        "SSIM",
        "Structural similarity, mean over planes, each stack scaled to 0 … 1: "
        "do the patterns look alike?",
    ),
    (
        "mse",
        "MSE",
        "Mean squared error, in squared standard deviations of the truth; best is 0.",
    ),
    (
        "mae",
        "MAE",
        "Mean absolute error, in standard deviations of the truth: 0 is perfect.",
    ),
)
"""Key, heading and tool tip of each score."""
_ONLY_IN_TIPS = (
    ("pcc_plane", "PCC in planes"),
    ("psnr", "PSNR, dB"),
    ("nrmse", "NRMSE"),
)
# Only these can be negative, and are best where they are great.
_SIGNED, _GREAT = ("r2", "pcc"), ("r2", "pcc", "ssim")
# A narrow table leaves these to its tips and to the copied table, the first one first.
_GIVE_WAY = {"mse": 2, "ssim": 1}

STATES = {
    "no truth": ("–", "No layer shows the truth; choose one below the table."),
    "computing": ("…", "Scores are being computed."),
    "predicting": ("…", "It is being predicted; scores follow."),
    "cannot": ("!", "It cannot be compared; choose it to read why."),
}
"""Why there are no scores: what stands in place of R², and the tool tip's words."""


@dataclass
class ScoreRow:
    """One structure; `state` is a key of `STATES` or ""."""

    id: str
    label: str
    colour: str
    shown: bool = True
    truth: str = ""
    scores: dict[str, Any] | None = None
    state: str = ""


def _score(row: ScoreRow, key: str) -> float | None:
    return (row.scores or {}).get(key)


def _text(row: ScoreRow, key: str) -> str:
    """Write a score in four characters and a sign."""
    value = _score(row, key)
    if value is None:
        waiting = STATES[row.state][0] if row.state and key == "r2" else ""
        return waiting if row.scores is None else "–"
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    text = f"{value:.{digits}f}" if abs(value) < 9999 else "≫"
    return local(text).replace("-", "−")


def _tip(row: ScoreRow) -> str:
    """List truth, state and all scores of a structure."""
    lines = [row.label]
    if row.truth:
        lines.append(f"Truth: {row.truth}")
    if row.state and not row.scores:
        lines.append(STATES[row.state][1])
    for key, name in (*((key, name) for key, name, _ in _MEASURES), *_ONLY_IN_TIPS):
        value = _score(row, key)
        if value is not None:
            lines.append(f"{name}: {local(f'{value:.4f}')}".replace("-", "−"))
    return "\n".join(lines)


COLUMNS = (
    Column(
        "structure",
        "Structure",
        lambda row: row.label,
        "Tick what is to be shown.",
        kind=Kind.CHECK,
        cell_tip=_tip,
        checked=lambda row: row.shown,
        set_checked=lambda row, on: setattr(row, "shown", on),
        colour=lambda row: QColor(row.colour),
        sortable=True,
        sample="Golgi apparatus",
    ),
    *(
        Column(
            key,
            title,
            partial(_text, key=key),
            tip,
            kind=Kind.NUMBER,
            value=partial(_score, key=key),
            cell_tip=_tip,
            sortable=True,
            descending=key in _GREAT,
            sample="−0.00" if key in _SIGNED else "0.00",
            gives_way=_GIVE_WAY.get(key, 0),
        )
        for key, title, tip in _MEASURES
    ),
)


class ScoreTable(RowsView):
    """Structures to tick, sort, choose (for their plots) and copy."""

    def __init__(self) -> None:
        order = RowsOrder(RowsModel(COLUMNS, key=lambda row: row.id))
        super().__init__(order, "Scores by structure")
        self.setProperty("role", "scores")
        self.unfocused = 0.2  # the plots below are of the current row
        self.shown_changed = self.rows_model.edited

    @property
    def rows(self) -> tuple[ScoreRow, ...]:
        """The rows in their own order."""
        return self.rows_model.rows

    def set_rows(self, rows: Sequence[ScoreRow]) -> None:
        """Replace the rows; ids that were there keep their tick."""
        ticks = {row.id: row.shown for row in self.rows}
        for row in rows:
            row.shown = ticks.get(row.id, row.shown)
        chosen = self.structure()
        if self.rows_model.set_rows(rows):
            self.choose(chosen or None)

    def structure(self) -> str:
        """Return the id of the chosen structure; "" for none."""
        row = self.current()
        return "" if row is None else str(row.id)

    def shown(self) -> tuple[str, ...]:
        """Return the ids of the ticked structures."""
        return tuple(row.id for row in self.rows if row.shown)

    def copy(self) -> None:
        """Copy the table as it is sorted, with all digits, for a spreadsheet."""
        model = self.model()
        rows = [model.index(n, 0).data(ROW) for n in range(model.rowCount())]
        values: dict[str, Callable[[Any], object]] = {"structure": lambda row: row.id}
        values |= {key: partial(_score, key=key) for key, _, _ in _MEASURES}
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.rows_model.as_text(values, rows=rows))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Copy the whole table, not the current cell."""
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        else:
            super().keyPressEvent(event)
