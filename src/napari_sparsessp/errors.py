"""The errors that a user can mend.

Every message is one line: what is wrong, then what to do. The command line prints it
after ``sparsessp: error:`` and ends with exit code 2; the docks show it inline.

None of them derives from `RuntimeError`: napari's generator workers swallow those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class SparseSSPError(Exception):
    """Anything that the user can mend; the message says how."""


class InputError(SparseSSPError):
    """An input file, layer or option that cannot be used as it is."""


class ModelError(SparseSSPError):
    """A model that is missing, damaged, too new or not safe to load."""


class OutputError(SparseSSPError):
    """A result that cannot be written where it was asked for."""


class PredictionError(SparseSSPError):
    """A prediction that failed on the way: out of memory, a lost device."""


class OutOfMemory(PredictionError):
    """The device has too little memory for a tile; a smaller one may fit."""


def invalid_field(error: ValidationError) -> tuple[str, str]:
    """Return the path of the first invalid field, and why it is invalid."""
    first = error.errors()[0]
    # A file's own words may be among them, of any length and with line breaks.
    where = " ".join(".".join(str(part) for part in first["loc"]).split())[:80]
    return where, str(first["msg"]).removeprefix("Value error, ")
