"""The sample that comes with the package: a simulated sparse colony and its truth."""

from __future__ import annotations

import atexit
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from napari_sparsessp.errors import InputError

_STACK = "colony_sparse.ome.tif"
_TRUTH = "colony_truth.ome.tif"

# Files of a zipped package are unpacked for as long as the process lives.
_unpacked = ExitStack()
atexit.register(_unpacked.close)


def sample_paths() -> tuple[Path, Path]:
    """Give the sample's two files.

    Returns
    -------
    tuple of Path
        The transmitted-light stack (ZYX, every fourth plane) and the fluorescence
        (CZYX, all planes, channels named by structure).

    Raises
    ------
    InputError
        When the package was installed without its samples.
    """
    folder = files("napari_sparsessp") / "samples"
    paths = []
    for name in (_STACK, _TRUTH):
        entry = folder / name
        if not entry.is_file():
            raise InputError(
                f"the sample {name} is not in this installation; reinstall the package"
            )
        paths.append(_unpacked.enter_context(as_file(entry)))
    return paths[0], paths[1]
