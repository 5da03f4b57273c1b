"""What of a prediction is on disk, in a file that survives the end of its writer.

One JSON object a line, each on the disk before the next step is taken. A line that was
being written when the process ended is not believed, nor is anything after it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Self


class Ledger:
    """The record of one output.

    Parameters
    ----------
    path : Path
        Where it is, or will be once it is started.

    Attributes
    ----------
    header : dict or None
        What the run is; None where there is no record.
    planes : dict
        (slot, column) to how many planes of it are there.
    settled : set
        (slot, column) whose core is in the image.
    scalings : dict
        Slot to how its input was scaled.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header: dict[str, Any] | None = None
        self.planes: dict[tuple[int, int], int] = {}
        self.settled: set[tuple[int, int]] = set()
        self.scalings: dict[int, dict[str, Any]] = {}
        self._length = 0
        self._file: Any = None
        if path.is_file():
            self._read(path.read_bytes())

    @classmethod
    def new(cls, path: Path) -> Self:
        """Give an empty one, whatever lies at the path; nothing is written yet."""
        ledger = cls(path.with_name(path.name + ".new"))
        ledger.path = path
        return ledger

    def open(self, header: dict[str, Any] | None = None) -> None:
        """Make ready to note: a new record with this header, or the one there is."""
        if header is None:
            self._file = self.path.open("r+b")
            self._file.truncate(self._length)
            self._file.seek(self._length)
            return
        self._file = self.path.open("wb")
        self._note({"header": header})

    def note_planes(self, slot: int, column: int, planes: int) -> None:
        """Note that so many planes of a column are on disk."""
        self._note({"planes": [slot, column, planes]})

    def note_settled(self, slot: int, column: int) -> None:
        """Note that a column's core is in the image, blended with its neighbours."""
        self._note({"settled": [slot, column]})

    def note_scaling(self, slot: int, scaling: dict[str, Any]) -> None:
        """Note how the input of a time point was scaled; must be JSON."""
        self._note({"scaling": [slot, scaling]})

    def close(self) -> None:
        """Note no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _note(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._take(entry)

    def _read(self, content: bytes) -> None:
        for line in content.splitlines(keepends=True):
            if not line.endswith(b"\n"):
                return
            try:
                self._take(json.loads(line))
            except (AttributeError, KeyError, TypeError, ValueError):
                return
            self._length += len(line)

    def _take(self, entry: dict[str, Any]) -> None:
        ((kind, value),) = entry.items()
        if kind == "header":
            self.header = dict(value)
        elif kind == "planes":
            slot, column, planes = map(int, value)
            self.planes[slot, column] = planes
        elif kind == "settled":
            slot, column = map(int, value)
            self.settled.add((slot, column))
        elif kind == "scaling":
            slot, scaling = value
            self.scalings[int(slot)] = dict(scaling)
        else:
            raise KeyError(kind)
