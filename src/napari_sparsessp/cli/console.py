"""Print results to standard output; progress, warnings and errors to standard error."""

import os
import sys
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_sparsessp.errors import OutputError
from napari_sparsessp.files import atomic_write, output_errors
from napari_sparsessp.tasks import Progress, TimeLeft

if TYPE_CHECKING:
    import rich.console

SECONDS_BETWEEN_LINES = 5.0
"""Where progress goes to a file or a pipe, a line comes at most this often."""

SECONDS_BETWEEN_FRAMES = 0.1
"""How often a terminal is redrawn."""

BAR = 16
"""Characters of the bar."""

COLUMNS = {
    "r2": "R²",
    "mse": "MSE",
    "mae": "MAE",
    "pcc": "PCC",
    "pcc_plane": "PCC in planes",
    "ssim": "SSIM",
    "psnr": "PSNR",
    "nrmse": "NRMSE",
}
"""Heading of a score by its field in the report."""

Rows = list[list[str]]
"""A table; the first row is its heading, the first column names the rows."""


@dataclass
class Console:
    """Where a command prints, and how much."""

    quiet: bool = False  # warnings and errors are still shown
    debug: bool = False
    _drawn: bool = field(default=False, repr=False)
    # Counted from the start, so that an error at once is the only line.
    _last: float = field(default_factory=lambda: time.monotonic(), repr=False)

    def result(self, text: str) -> None:
        """Print a result."""
        self.close()
        print(printable(text), flush=True)

    def fact(self, name: str, value: object) -> None:
        """Print a result that has a name."""
        self.result(f"{name:<14}{value}")

    def table(self, rows: Rows, left: int = 1) -> None:
        """Print a table: the first columns to the left, numbers to the right.

        A number is never wrapped: where a terminal is too narrow, the columns that do
        not fit come below, beside the first column again.
        """
        self.close()
        from rich.cells import cell_len

        rows = [[printable(cell) for cell in row] for row in rows]
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        out, gap, edges = _rich_console(sys.stdout), 2, [1]
        if out.is_terminal and sum(widths) + gap * len(widths[1:]) > out.width:
            gap = 1
            edges = _edges(widths, gap, out.width)
        for start, stop in pairwise([*edges, len(widths)]):
            if start > 1:
                self.result("")
            part = [[row[0], *row[start:stop]] for row in rows]
            _print_rows(part, gap, left - start + 1)

    def note(self, text: str) -> None:
        """Print what is going on, unless asked to be quiet."""
        if not self.quiet:
            self._write(text)

    def warning(self, text: str) -> None:
        """Print what was assumed or left out."""
        self._write(f"sparsessp: warning: {one_line(text)}")

    def error(self, text: str) -> None:
        """Print what is wrong and what to do, in one line."""
        self._write(f"sparsessp: error: {one_line(text)}")

    def progress(self, step: str, unit: str = "") -> Progress:
        """Show that a step begins.

        Shows how far the step is, and the time that is left.
        """
        self._show(step, 0.0, now=sys.stderr.isatty())
        time_left = TimeLeft(time.monotonic)

        def report(done: float, total: float | None = None, what: str = "") -> None:
            share = done / total if total else (done if total is None else 0.0)
            text = f"{step}{_amount(done, total, unit)}"
            if total is None and unit == "MB":
                share = 0.0
            seconds = time_left(min(share, 1.0))
            if seconds is not None and share < 1:
                text += f", {clock(seconds)} left"
            if what:
                text += f"; {what}"
            self._show(text, share, now=share >= 1)

        return report

    def close(self) -> None:
        """Wipe the progress away; it would only say what is no longer true."""
        if not self._drawn:
            return
        from rich.control import Control
        from rich.segment import ControlType

        wipe = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))
        _rich_console(sys.stderr).control(wipe)
        self._drawn = False

    def _write(self, text: str) -> None:
        self.close()
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()

    def _show(self, text: str, share: float, *, now: bool) -> None:
        """Rewrite the line of a terminal in place; print a line now and then else."""
        if self.quiet:
            return
        terminal = sys.stderr.isatty()
        pause = SECONDS_BETWEEN_FRAMES if terminal else SECONDS_BETWEEN_LINES
        if not now and time.monotonic() - self._last < pause:
            return
        self._last = time.monotonic()
        if terminal:
            self._draw(one_line(printable(text)), share)
        else:
            self._write(text)

    def _draw(self, text: str, share: float) -> None:
        from rich.text import Text

        out = _rich_console(sys.stderr)
        full, rest = ("━", "─") if out.encoding.startswith("utf") else ("#", "-")
        filled = round(BAR * min(share, 1.0))
        bar = (full * filled, "cyan"), (rest * (BAR - filled), "dim"), " "
        line = Text.assemble(*(bar if share else ()), text)
        # A line longer than the terminal would wrap and never be overwritten.
        line.truncate(out.width - 1, overflow="ellipsis")
        self.close()
        out.print(line, end="", soft_wrap=True)
        self._drawn = True


def _rich_console(file: Any, width: int | None = None) -> "rich.console.Console":
    import rich.console

    return rich.console.Console(file=file, width=width, highlight=False, markup=False)


def _amount(done: float, total: float | None, unit: str) -> str:
    if unit == "MB":
        whole = f" of {total / 1e6:.1f}" if total else ""
        return f": {done / 1e6:.1f}{whole} MB"
    if total is None:
        return f": {done:.0%}" if done else ""
    return f": {unit} {done:.0f} of {total:.0f}" if unit else f": {done / total:.0%}"


def _edges(widths: Sequence[int], gap: int, limit: int) -> list[int]:
    """Return the columns with which a table of at most `limit` characters begins."""
    edges, used = [1], widths[0]
    for index, width in enumerate(widths[1:], 1):
        used += gap + width
        if used > limit and index > edges[-1]:
            edges.append(index)
            used = widths[0] + gap + width
    return edges


def _print_rows(rows: Rows, gap: int, left: int = 1) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    table.add_column(Text(rows[0][0]), no_wrap=True)
    for place, cell in enumerate(rows[0][1:], 1):
        side: Literal["left", "right"] = "left" if place < left else "right"
        table.add_column(Text(cell), justify=side, no_wrap=True)
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    _rich_console(sys.stdout, width=10_000).print(table)


def score_rows(scores: Mapping[str, Mapping[str, Any]]) -> Rows:
    """Make a table of scores, with their mean where several structures have a truth."""
    scored = {name: fields for name, fields in scores.items() if "r2" in fields}
    if not scored:
        return []
    rows = [["structure", *COLUMNS.values()]]
    for name, fields in scored.items():
        rows.append([name, *(number(fields.get(column)) for column in COLUMNS)])
    if len(scored) > 1:
        rows.append(["mean of structures"])
        for column in COLUMNS:
            values = [fields.get(column) for fields in scored.values()]
            defined = [value for value in values if value is not None]
            mean = sum(defined) / len(defined) if defined else None
            rows[-1].append(number(mean))
    return rows


def number(value: float | None) -> str:
    """Write a score; a dash where it is not defined."""
    return "–" if value is None else f"{value:.3f}"


def printable(text: str) -> str:
    """Escape what would command the terminal, or what it cannot show.

    Names of files and texts of cards are other people's.
    """
    return "".join(
        char
        if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
        else f"\\x{ord(char):02x}"
        for char in text
    )


def one_line(text: str) -> str:
    """Join the lines of a message, so that scripts can read it as one."""
    return " ".join(text.split())


def clock(seconds: float) -> str:
    """Write a duration as people read it: ``0:07``, ``1:02:03``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def check_output(path: Path | None, overwrite: bool, what: str = "report ") -> None:
    """Refuse a file that could not be written at the end of a long run."""
    if path is None:
        return
    if path.exists() and (path.is_dir() or not overwrite):
        raise OutputError(
            f"{what}{path} exists already; give another name or --overwrite"
        )
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"folder {path.parent} cannot be written; choose another")


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there."""
    with output_errors(folder, "choose another with --out", "make folder"):
        folder.mkdir(parents=True, exist_ok=True)


def write_report(path: Path, text: str) -> None:
    """Write a report in one step."""
    with atomic_write(path, "report") as part:
        part.write_text(f"{text}\n", encoding="utf-8")
