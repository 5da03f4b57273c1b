"""Write a report in one step, and know before a long run that it can be written."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write

Results = TypeVar("Results")


def check_report_path(path: Path | None, overwrite: bool) -> None:
    """Refuse a report that could not be written at the end.

    Raises
    ------
    OutputError
        The file exists and may not be replaced, or its folder cannot be written.
    """
    if path is None:
        return
    if path.exists() and (path.is_dir() or not overwrite):
        raise OutputError(
            f"report {path} exists already; give another name or --overwrite"
        )
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"folder {path.parent} cannot be written; choose another")


def earlier_results(
    path: Path | None,
    overwrite: bool,
    resume: bool,
    parse: Callable[[str], Results],
    otherwise: str,
) -> Results | None:
    """Check the file of a command that can go on, and read what it is to go on with.

    Parameters
    ----------
    path : Path, optional
    overwrite, resume : bool
        What may be done with a file that exists.
    parse : callable
        Text to results; raises ValueError for any other text.
    otherwise : str
        What is said of a file of another kind.

    Returns
    -------
    results or None
        None where nothing is to be gone on with.

    Raises
    ------
    InputError
        There is no file to go on with, or it is of another kind.
    OutputError
        The file exists, or cannot be written.
    """
    if resume and path is None:
        raise InputError("--resume needs the file to go on with; add --json FILE")
    check_report_path(path, overwrite or resume)
    if path is None or not resume or not path.exists():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path} {otherwise}; give another file, or --overwrite in place of "
            "--resume"
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises
    ------
    OutputError
        It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot make folder {folder}: {error.strerror}; choose another with --out"
        ) from error


def write_report(path: Path, text: str) -> None:
    """Write under another name and rename, so that no half report is ever found.

    Raises
    ------
    OutputError
        It cannot be written, for example because the disk is full.
    """
    with atomic_write(path, "report") as part:
        part.write_text(f"{text}\n", encoding="utf-8")
