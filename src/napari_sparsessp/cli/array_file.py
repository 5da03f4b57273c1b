"""NumPy files: read without pickles, written in one step."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.files import atomic_write

if TYPE_CHECKING:
    import numpy as np


def read_array(path: Path) -> "np.ndarray":
    """Read an array; never a pickle.

    Raises
    ------
    InputError
        It is missing, damaged, or no array.
    """
    import numpy as np

    if path.is_fifo() or path.is_char_device():  # opening it could wait for ever
        raise InputError(f"{path} is a pipe or a device; save the array as a file")
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or 'it is cut off'}; check the file"
        ) from error
    except Exception as error:
        # numpy meets a damaged header with whatever its parser stumbles over.
        raise InputError(
            f"{path} is not a NumPy array of numbers; save it with numpy.save"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} holds several arrays; save one with numpy.save")
    return array


def check_array_path(path: Path, overwrite: bool) -> None:
    """Refuse an output that could not be written at the end.

    Raises
    ------
    OutputError
        The file exists and may not be replaced, or its folder cannot be written.
    """
    if path.is_dir():
        raise OutputError(
            f"{path} is a folder; give the name of a file, for example "
            f"{path / 'prediction.npy'}"
        )
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; give another name or --overwrite")
    if not path.parent.is_dir():
        raise OutputError(f"there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"folder {path.parent} cannot be written; choose another")


def write_array(path: Path, array: "np.ndarray") -> None:
    """Write under another name and rename, so that no half array is ever found.

    Raises
    ------
    OutputError
        It cannot be written, for example because the disk is full.
    """
    import numpy as np

    with atomic_write(path) as part, part.open("wb") as file:
        np.save(file, array, allow_pickle=False)
