"""From a napari layer to a `Volume`: axes, scale, units, position; no pixel is read."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.volume import Volume

LeadingAxis = Literal["T", "C"]

_LETTERS = {
    "t": "T",
    "time": "T",
    "frame": "T",
    "frames": "T",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "channels": "C",
    "z": "Z",
    "plane": "Z",
    "slice": "Z",
    "depth": "Z",
    "y": "Y",
    "row": "Y",
    "x": "X",
    "column": "X",
}

# A nameless fourth axis this short is taken for channels, a longer one for time.
_MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class LayerReading:
    """What was found in a layer.

    Attributes
    ----------
    volume : Volume
        All channels and times, lazy; axes out of TCZYX.
    letters : str
        One axis letter for each of the layer's own dimensions.
    guessed : int or None
        Dimension of the layer that may be time or channels, where nothing told which.
    unit_assumed : bool
        The scale had no unit of length and was taken for µm.
    """

    volume: Volume
    letters: str
    guessed: int | None
    unit_assumed: bool


def read_layer(
    layer: Any,
    *,
    leading: LeadingAxis | None = None,
    voxel_size: tuple[float, float, float] | None = None,
) -> LayerReading:
    """Take a napari image layer as a volume.

    Parameters
    ----------
    layer : napari.layers.Image
        numpy, dask, zarr or multiscale (its finest level counts).
    leading : {"T", "C"}, optional
        What a nameless fourth axis is; guessed from its length where left out.
    voxel_size : tuple of float, optional
        (z, y, x) in µm, in place of what the layer says.

    Returns
    -------
    LayerReading

    Raises
    ------
    InputError
        When the layer is RGB, or its axes cannot be understood.
    """
    if getattr(layer, "rgb", False):
        raise InputError(
            f"layer {layer.name!r} is a colour (RGB) picture; split it (right click > "
            "Split RGB) and take the channel with the transmitted light"
        )
    array = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    letters, guessed = axis_letters(layer, tuple(array.shape), leading)
    sizes = dict(zip(letters, array.shape, strict=True))
    found, pixel, assumed = _sizes_um(layer, letters)
    array, axes = _canonical(array, letters)
    volume = Volume(
        array,
        axes,
        voxel_size or found,
        channel_names=(),
        origin=_origin_um(layer, letters, voxel_size),
        name=str(layer.name),
        source=_source_of(layer),
        pixel_size=None if voxel_size else pixel,
    )
    ambiguous = guessed if guessed is not None and sizes[letters[guessed]] > 1 else None
    return LayerReading(volume, letters, ambiguous, assumed and voxel_size is None)


def micrometres(unit: Any) -> float | None:
    """How many µm a layer's unit is; None for pixels and other things."""
    check = getattr(unit, "is_compatible_with", None)
    if check is None or not check("micrometer"):
        return None
    return float((1 * unit).to("micrometer").magnitude)


def axis_letters(
    layer: Any, shape: tuple[int, ...], leading: LeadingAxis | None
) -> tuple[str, int | None]:
    """Give a letter for each dimension, and the index of one that was guessed."""
    labels = [str(label).strip().lower() for label in layer.axis_labels]
    named = "".join(_LETTERS.get(label, "?") for label in labels)
    if "?" not in named and len(set(named)) == len(named) and {"Y", "X"} <= set(named):
        return named, None
    ndim = len(shape)
    if not 2 <= ndim <= 5:
        raise InputError(
            f"layer {layer.name!r} has {ndim} axes; give a stack with z, y, x and at "
            "most time and channels before them"
        )
    if ndim == 4:
        short = 1 < shape[0] <= _MOST_CHANNELS
        letter = leading or ("C" if short else "T")
        return f"{letter}ZYX", 0
    return "TCZYX"[-ndim:] if ndim != 3 else "ZYX", None


def _canonical(array: Any, letters: str) -> tuple[Any, str]:
    """Drop T and C of length 1, sort the axes to TCZYX and add a missing z."""
    keep = [
        i
        for i, letter in enumerate(letters)
        if letter in "ZYX" or int(array.shape[i]) > 1
    ]
    order = sorted(keep, key=lambda i: "TCZYX".index(letters[i]))
    axes = "".join(letters[i] for i in order)
    if order != list(range(len(letters))) or "Z" not in axes:
        array = _lazy(array)
        array = array[
            tuple(slice(None) if i in keep else 0 for i in range(len(letters)))
        ]
        kept = sorted(keep)
        array = array.transpose([kept.index(i) for i in order])
    if "Z" not in axes:
        place = axes.index("Y")
        array = array[(slice(None),) * place + (None,)]
        axes = axes.replace("Y", "ZY")
    return array, axes


def _lazy(array: Any) -> Any:
    """Give an array that can be sliced and turned without being read."""
    if isinstance(array, np.ndarray) or hasattr(array, "dask"):
        return array
    import dask.array as da

    return da.from_array(array, chunks=getattr(array, "chunks", None) or "auto")


def _sizes_um(
    layer: Any, letters: str
) -> tuple[tuple[float, float, float] | None, tuple[float, float] | None, bool]:
    """Give voxel size, pixel size (y, x) in µm, and whether the unit was assumed.

    A scale of 1 in pixels on all axes is napari's default: it says nothing.
    """
    at = {letter: i for i, letter in enumerate(letters)}
    spatial = [letter for letter in "ZYX" if letter in at]
    scale = {letter: abs(float(layer.scale[at[letter]])) for letter in spatial}
    factor = {letter: micrometres(layer.units[at[letter]]) for letter in spatial}
    if all(value is not None for value in factor.values()):
        assumed = False
    elif factor["Y"] and factor["X"] and scale.get("Z") == 1.0:
        # y and x are in µm and z is left at one pixel: only the step is unknown
        return None, (scale["Y"] * factor["Y"], scale["X"] * factor["X"]), False
    elif any(abs(value - 1.0) > 1e-9 for value in scale.values()):
        assumed = True
    else:
        return None, None, False
    size = {letter: scale[letter] * (factor[letter] or 1.0) for letter in spatial}
    if any(not np.isfinite(value) or value <= 0 for value in size.values()):
        return None, None, False
    pixel = (size["Y"], size["X"])
    if "Z" not in size:
        return None, pixel, assumed
    return (size["Z"], *pixel), pixel, assumed


def _origin_um(
    layer: Any, letters: str, voxel_size: tuple[float, float, float] | None
) -> tuple[float, float, float]:
    """Position of the centre of voxel 0 in µm, along the layer's own axes."""
    origin = []
    for number, letter in enumerate("ZYX"):
        if letter not in letters:
            origin.append(0.0)
            continue
        i = letters.index(letter)
        per_unit = micrometres(layer.units[i]) or 1.0
        if voxel_size is not None:
            per_unit = voxel_size[number] / (abs(float(layer.scale[i])) or 1.0)
        origin.append(float(layer.translate[i]) * per_unit)
    return origin[0], origin[1], origin[2]


def _source_of(layer: Any) -> str:
    """File that a layer came from, or its name."""
    path = getattr(getattr(layer, "source", None), "path", None)
    return str(path) if path else str(layer.name)
