"""How the pictures of public samples become stacks: tiles, planes and channels.

Whatever comes from a server is checked for its shape before it is used.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import Volume

# The field of view as its description says (AICS-12_881_atlas.json beside it): 57
# planes of 204 × 341 pixels, 6 to a row, made of 624 × 924 pixels of 0.10833 µm. The
# bright-field is the first of the picture's three channels.
_FIELD_TILES, _FIELD_COLUMNS = 57, 6
_FIELD_TILE = (204, 341)
_FIELD_VOXEL = (0.29, 0.325 / 3 * 624 / 204, 0.325 / 3 * 924 / 341)

# Of every stack that pytorch_fnet trained on.
_PAIR_VOXEL = (0.29, 0.29, 0.29)

_MOST_PIXELS = 100_000_000
_MOST_TILES = 1000

NEURON_STAINS = ("dapi", "map2", "nfh")
"""Structures of the neurons' truth, in the order of its channels."""


def atlas_field(path: Path) -> Volume:
    """Cut the field of view's planes out of the picture that shows them all.

    Returns
    -------
    Volume
        ZYX, uint8.

    Raises
    ------
    InputError
        It is another picture.
    """
    picture, _ = _picture(path)
    height, width = _FIELD_TILE
    rows = -(-_FIELD_TILES // _FIELD_COLUMNS)
    if picture.ndim != 3 or picture.shape[:2] != (
        rows * height,
        _FIELD_COLUMNS * width,
    ):
        raise _unexpected(path, f"a picture of {picture.shape}")
    stack = cut_tiles(picture[..., 0], _FIELD_TILE, _FIELD_COLUMNS, _FIELD_TILES)
    return Volume(stack, "ZYX", _FIELD_VOXEL, ("Bright-field",), name="hipsc_field")


def pair_of_stacks(light: Path, stain: Path) -> Volume:
    """Put a bright-field stack and its DNA stain together.

    Returns
    -------
    Volume
        CZYX.

    Raises
    ------
    InputError
        They are no stacks of one shape.
    """
    stacks = [np.squeeze(_tiff(path)) for path in (light, stain)]
    for path, stack in zip((light, stain), stacks, strict=True):
        if stack.ndim != 3 or stack.shape != stacks[0].shape:
            raise _unexpected(path, f"a stack of {stack.shape}")
    return Volume(
        np.stack(stacks),
        "CZYX",
        _PAIR_VOXEL,
        ("Bright-field", "DNA"),
        name="hipsc_dna_pair",
    )


def phase_planes(paths: Sequence[Path]) -> Volume:
    """Stack pictures of one plane each; the pixel size is not known.

    Returns
    -------
    Volume
        ZYX.

    Raises
    ------
    InputError
        They are no grey pictures of one shape.
    """
    return Volume(_grey(paths), "ZYX", None, ("Phase contrast",), name="neurons")


def label_planes(paths: Sequence[Path]) -> Volume:
    """Make a channel of each stain's picture.

    Returns
    -------
    Volume
        CZYX with one plane; the channels are named by `NEURON_STAINS`.

    Raises
    ------
    InputError
        They are no grey pictures of one shape.
    """
    return Volume(
        _grey(paths)[:, None], "CZYX", None, NEURON_STAINS, name="neurons_truth"
    )


def tiled_planes(paths: Sequence[Path]) -> Volume:
    """Cut the planes of each time point out of its picture.

    How they lie is in the picture's own description: the size of a tile in rows and
    columns, how many there are, and their layout.

    Returns
    -------
    Volume
        TZYX.

    Raises
    ------
    InputError
        A description is missing, or does not fit the picture or the others.
    """
    times = []
    for path in paths:
        picture, text = _picture(path)
        try:
            about = json.loads(text)
            height, width = (int(size) for size in about["tilesize"])
            count, columns = int(about["ntiles"]), int(about["layout"][1])
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise _unexpected(path, "no picture that tells of its tiles") from error
        rows = -(-count // columns) if columns > 0 else 0
        fits = (
            picture.ndim == 2
            and 0 < count <= _MOST_TILES
            and min(height, width, columns) > 0
            and picture.shape[0] >= rows * height
            and picture.shape[1] >= columns * width
        )
        if not fits:
            raise _unexpected(path, f"a picture of {picture.shape} and other tiles")
        times.append(cut_tiles(picture, (height, width), columns, count))
        if times[-1].shape != times[0].shape:
            raise _unexpected(path, "a stack of another shape than the first")
    return Volume(
        np.stack(times), "TZYX", None, ("Bright-field",), name="yeast_timelapse"
    )


def cut_tiles(
    picture: np.ndarray, tile: tuple[int, int], columns: int, count: int
) -> np.ndarray:
    """Cut planes that lie side by side, row after row, into a stack.

    Parameters
    ----------
    picture : ndarray
        Shape (rows × height, columns × width) or larger.
    tile : tuple of int
        (height, width) of a plane.
    columns, count : int
        Planes in a row, and in all.

    Returns
    -------
    ndarray
        Shape (count, height, width).
    """
    height, width = tile
    return np.stack(
        [
            picture[
                row * height : (row + 1) * height,
                column * width : (column + 1) * width,
            ]
            for row, column in (divmod(number, columns) for number in range(count))
        ]
    )


def write_stack(path: Path, volume: Volume) -> None:
    """Write a stack as OME-TIFF with its own kind of numbers, names and sizes.

    Parameters
    ----------
    path : Path
        Replaced where it exists.
    volume : Volume
        In memory; axes (T)(C)ZYX.
    """
    import tifffile

    sizes: dict[str, Any] = {}
    for axis, size in zip("ZYX", volume.voxel_size or (), strict=False):
        sizes |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "µm"}
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(
            np.asarray(volume.array),
            photometric="minisblack",
            metadata={
                "axes": volume.axes,
                "Name": volume.name,
                "Channel": {"Name": list(volume.channel_names)},
                **sizes,
            },
        )


def _grey(paths: Sequence[Path]) -> np.ndarray:
    """Stack grey pictures, shape (count, y, x)."""
    pictures = [_picture(path)[0] for path in paths]
    for path, one in zip(paths, pictures, strict=True):
        if one.ndim != 2 or one.shape != pictures[0].shape:
            raise _unexpected(path, f"a picture of {one.shape}")
    return np.stack(pictures)


def _picture(path: Path) -> tuple[np.ndarray, str]:
    """Read a PNG and the description in it."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=("PNG",)) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise _unexpected(path, "a picture that is far too large")
                image.load()
                pixels = np.asarray(image)
                text = str(image.info.get("Description", ""))
    except (OSError, ValueError, SyntaxError, Warning) as error:
        raise _unexpected(path, "no picture that can be read") from error
    if pixels.dtype == np.int32:  # how Pillow may hold 16 bits
        pixels = pixels.astype(np.uint16)
    return pixels, text


def _tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        return np.asarray(tifffile.imread(path))
    except (tifffile.TiffFileError, OSError, ValueError) as error:
        raise _unexpected(path, "no TIFF that can be read") from error


def _unexpected(path: Path, found: str) -> InputError:
    return InputError(
        f"what was fetched for the sample ({path.parent.name}, {path.name}) is "
        f"{found}, not the expected image; the place it came from has changed: report "
        "it"
    )
