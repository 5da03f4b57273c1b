"""One scene of an opened file: what every reader gives, before it is put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.calibration import Calibration


@dataclass(frozen=True)
class Source:
    """One scene of a file, opened: a lazy array and what is known of it.

    Attributes
    ----------
    array : dask array
    axes : str
        A letter for each dimension; ``S`` for colour samples.
    channel_names : list of str
    calibration : Calibration
    scene : str
        Its name, empty where the file has only one.
    """

    array: Any
    axes: str
    channel_names: list[str]
    calibration: Calibration
    scene: str


def source_of(
    reader: Any, scene: str | int | None, calibration: Calibration | None = None
) -> Source:
    """Open one scene of a bioio reader.

    Parameters
    ----------
    reader : bioio_base.reader.Reader
    scene : str, int or None
        Name, index or the first.
    calibration : Calibration, optional
        Where it is known better than bioio knows it.
    """
    index = choose_scene(reader.scenes, scene)
    reader.set_scene(index)
    data = reader.xarray_dask_data
    if calibration is None:
        sizes = reader.physical_pixel_sizes
        calibration = Calibration((sizes.Z, sizes.Y, sizes.X))
    return Source(
        data.data,
        "".join(str(dim) for dim in data.dims),
        [str(name) for name in reader.channel_names or ()],
        calibration,
        str(reader.scenes[index]) if len(reader.scenes) > 1 else "",
    )


def choose_scene(scenes: tuple[str, ...], which: str | int | None) -> int:
    """Give the index of a scene by name or index, or say which there are."""
    if which is None:
        return 0
    if which in scenes:
        return scenes.index(str(which))
    try:
        index = int(which)
    except ValueError:
        index = -1
    if 0 <= index < len(scenes):
        return index
    listed = ", ".join(f"{number} {name!r}" for number, name in enumerate(scenes))
    raise InputError(f"there is no scene {which!r}; there are: {listed}")
