"""Where the command line speaks: results to stdout, everything else to stderr."""

import shutil
import sys
import time
import unicodedata
from dataclasses import dataclass, field

SECONDS_BETWEEN_LINES = 5.0
"""Where progress goes to a file or a pipe, a line comes at most this often."""


@dataclass
class Console:
    """What ``--quiet`` and ``--debug`` ask for, and the line being rewritten.

    Attributes
    ----------
    quiet : bool
        Show no progress and no notes; warnings and errors still come.
    debug : bool
        Show where an error came from.
    """

    quiet: bool = False
    debug: bool = False
    _line: str = field(default="", repr=False)
    # Counted from the start, so that what is refused at once is told in one line.
    _last: float = field(default_factory=time.monotonic, repr=False)

    def result(self, text: str) -> None:
        """Print a result."""
        self._end_line()
        print(printable(text), flush=True)

    def note(self, text: str) -> None:
        """Tell what is going on, unless asked to be quiet."""
        if not self.quiet:
            self._write(text)

    def warning(self, text: str) -> None:
        """Tell what was assumed or left out."""
        self._write(f"sparsessp: warning: {one_line(text)}")

    def error(self, text: str) -> None:
        """Tell what is wrong and what to do, in one line."""
        self._write(f"sparsessp: error: {one_line(text)}")

    def progress(self, text: str, *, last: bool = False) -> None:
        """Show how far things are; on a terminal the line is rewritten in place."""
        if self.quiet:
            return
        if sys.stderr.isatty():
            # A line longer than the terminal would wrap and never be overwritten.
            text = one_line(printable(text))[: shutil.get_terminal_size().columns - 1]
            padded = text.ljust(len(self._line))
            sys.stderr.write(f"\r{padded}" + ("\n" if last else ""))
            sys.stderr.flush()
            self._line = "" if last else text
        elif last or time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            self._write(text)

    def _write(self, text: str) -> None:
        self._end_line()
        sys.stderr.write(f"{printable(text)}\n")
        sys.stderr.flush()

    def _end_line(self) -> None:
        """Wipe the progress away; it would only say what is no longer true."""
        if self._line:
            sys.stderr.write("\r" + " " * len(self._line) + "\r")
            self._line = ""


def printable(text: str) -> str:
    """Spell out what would command the terminal, or what it cannot show.

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
