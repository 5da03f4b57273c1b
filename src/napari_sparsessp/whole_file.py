"""Files that are whole under their name, or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_sparsessp.errors import OutputError


@contextmanager
def whole_file(path: Path, what: str = "") -> Iterator[Path]:
    """Write under another name and rename, so that no half file is ever found.

    Parameters
    ----------
    path : Path
        The final name; what is there is replaced in one step.
    what : str
        What it is, for the message, for example ``"report"``.

    Yields
    ------
    Path
        Where to write.

    Raises
    ------
    OutputError
        It cannot be written, for example because the disk is full.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"cannot write {f'{what} ' if what else ''}{path}: "
            f"{error.strerror or error}; choose another place"
        ) from error
    finally:
        part.unlink(missing_ok=True)
