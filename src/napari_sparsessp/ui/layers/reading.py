"""From a napari layer to a `Volume`: axes, scale, units, position; no pixel is read."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.layers.metadata import FilePlace, role_of, structure_named
from napari_sparsessp.ui.layers.recorded import keep, recall
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.ui.preferences import preferences
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


LeadingAxis = Literal["T", "C"]
_LABELS = {
    "T": ("t", "time", "frame", "frames"),
    "C": ("c", "ch", "channel", "channels"),
    "Z": ("z", "plane", "slice", "depth"),
    "Y": ("y", "row"),
    "X": ("x", "column"),
}
_LETTERS = {label: letter for letter, labels in _LABELS.items() for label in labels}
# A nameless fourth axis this short is taken for channels, a longer one for time.
_MOST_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class LayerReading:
    """A layer as a volume."""

    volume: Volume  # all channels and times, lazy
    letters: str  # of the layer's own dimensions
    guessed: int | None  # dimension that may be time or channels
    unit_assumed: bool  # a scale without a unit was taken for µm


def read_layer(
    layer: Any,
    *,
    leading: LeadingAxis | None = None,
    voxel_size: tuple[float, float, float] | None = None,
) -> LayerReading:
    """Take a napari image layer, of any array or multiscale, as a volume.

    A nameless fourth axis is `leading`, or guessed from its length; a voxel size,
    (z, y, x) in µm, stands in place of the layer's. InputError where the layer is RGB
    or its axes cannot be understood.
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
    path = getattr(getattr(layer, "source", None), "path", None)
    volume = Volume(
        array,
        axes,
        voxel_size or found,
        channel_names=(),
        origin=_origin_um(layer, letters, voxel_size),
        name=str(layer.name),
        source=str(path or layer.name),
        pixel_size=None if voxel_size else pixel,
    )
    volume = recall(layer, volume)
    ambiguous = guessed if guessed is not None and sizes[letters[guessed]] > 1 else None
    return LayerReading(volume, letters, ambiguous, assumed and voxel_size is None)


def micrometres(unit: Any) -> float | None:
    """Return how many µm a layer's unit is; None for pixels and other units."""
    check = getattr(unit, "is_compatible_with", None)
    if check is None or not check("micrometer"):
        return None
    return float((1 * unit).to("micrometer").magnitude)


def axis_letters(
    layer: Any, shape: tuple[int, ...], leading: LeadingAxis | None
) -> tuple[str, int | None]:
    """Return a letter for each dimension, and the index of one that was guessed."""
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
    sizes = zip(letters, array.shape, strict=True)
    keep = [i for i, (axis, n) in enumerate(sizes) if axis in "ZYX" or int(n) > 1]
    order = sorted(keep, key=lambda i: "TCZYX".index(letters[i]))
    axes = "".join(letters[i] for i in order)
    if order != list(range(len(letters))) or "Z" not in axes:
        array = _lazy(array)
        index = (slice(None) if i in keep else 0 for i in range(len(letters)))
        array = array[tuple(index)].transpose([keep.index(i) for i in order])
    if "Z" not in axes:
        place = axes.index("Y")
        array = array[(slice(None),) * place + (None,)]
        axes = axes.replace("Y", "ZY")
    return array, axes


def _lazy(array: Any) -> Any:
    """Return an array that can be sliced and transposed without being read."""
    if isinstance(array, np.ndarray) or hasattr(array, "dask"):
        return array
    import dask.array as da

    return da.from_array(array, chunks=getattr(array, "chunks", None) or "auto")


def _sizes_um(
    layer: Any, letters: str
) -> tuple[tuple[float, float, float] | None, tuple[float, float] | None, bool]:
    """Return voxel size, pixel size (y, x) in µm, and whether the unit was assumed.

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
    """Return the centre of voxel 0 in µm, along the layer's own axes."""
    origin = [0.0, 0.0, 0.0]
    for number, letter in enumerate("ZYX"):
        i = letters.find(letter)
        if i < 0:
            continue
        per_unit = micrometres(layer.units[i]) or 1.0
        if voxel_size is not None:
            per_unit = voxel_size[number] / (abs(float(layer.scale[i])) or 1.0)
        origin[number] = float(layer.translate[i]) * per_unit
    return origin[0], origin[1], origin[2]


LayerData = tuple[Any, dict[str, Any], str]


def layers_of(
    volume: Volume, *, suffix: str = "", visible: bool | None = None
) -> list[LayerData]:
    """Return a layer for each channel; `suffix` names those of stained structures."""
    count = volume.sizes.get("C", 1)
    result, first = [], True
    for number in range(count):
        one = volume.channel(number) if "C" in volume.axes else volume
        name = one.channel_names[0] if one.channel_names else ""
        structure = structure_named(name)
        attributes = spatial_attributes(one)
        if volume.source:
            shown = number if "C" in volume.axes else None
            place = FilePlace(volume.source, None, shown)
            attributes["metadata"] = place.metadata() | keep(one)
        if structure is not None:
            attributes |= {
                "name": f"{structure.label}{suffix}" if suffix else name,
                "colormap": preferences().colour(structure.id),
                "blending": "additive",
                "visible": bool(visible),
            }
        else:
            label = " · ".join(filter(None, [volume.name, name]))
            attributes |= {
                "name": label or "image",
                "colormap": "gray",
                "visible": first if visible is None else visible,
            }
            first = False
        result.append((one.array, attributes, "image"))
    return result


def spatial_attributes(volume: Volume) -> dict[str, Any]:
    """Return scale, translate, units and axis labels; an unknown size is 1 pixel."""
    size = volume.voxel_size
    scale, units = [1.0, 1.0, 1.0], ["pixel"] * 3
    if size is not None:
        scale, units = list(size), ["um"] * 3
    elif volume.pixel_size is not None:
        scale, units = [1.0, *volume.pixel_size], ["pixel", "um", "um"]
    extra = len(volume.axes) - 3
    return {
        "scale": [1.0] * extra + scale,
        "translate": [0.0] * extra + list(volume.origin),
        "units": ["pixel"] * extra + units,
        "axis_labels": [letter.lower() for letter in volume.axes],
    }


Named = list[tuple[str, str]]
_LIGHT_WORDS = (
    *("bright", "brightfield", "phase", "dic", "transmitted", "light", "tl", "bf"),
    *("mono", "sparse"),
)


def image_layers(viewer: Any) -> list[Any]:
    """Return the image layers that are not our own, lowest first."""
    from napari.layers import Image

    return [one for one in viewer.layers if isinstance(one, Image) and not role_of(one)]


def input_choices(viewer: Any) -> Named:
    """Return the layers to predict from as (key, name), the likeliest first."""
    layers = sorted(image_layers(viewer), key=_unlikely_input)
    return [(layer_key(layer), str(layer.name)) for layer in layers]


def truth_choices(viewer: Any, source_key: str | None) -> Named:
    """Return the layers that may hold a ground truth as (key, name)."""
    return [
        (layer_key(layer), str(layer.name))
        for layer in image_layers(viewer)
        if layer_key(layer) != source_key and not getattr(layer, "rgb", False)
    ]


def _unlikely_input(layer: Any) -> tuple[int, int]:
    """Sort transmitted light first and what is named like a structure last."""
    name = str(layer.name)
    words = name.lower().replace("-", " ").replace("_", " ").split()
    if any(word.strip(".,;:()[]×") in _LIGHT_WORDS for word in words):
        return 0, 0
    return (2 if structure_named(name) else 1), 0 if layer.ndim >= 3 else 1


def input_voxel(plan: "Plan") -> tuple[float, float, float]:
    """Return the (z, y, x) size in µm that the plan took the layer's voxels for."""
    view = plan.view
    step = plan.card.voxel_size[0]  # of the dense grid; a projection is thicker
    if len(view.planes) > 1:
        dense = view.positions[1] - view.positions[0]
        z = step * dense / (view.planes[1] - view.planes[0])
    else:
        z = step * view.ratio
    return z, *plan.input_pixel


def placement(layer: Any, reading: LayerReading, plan: "Plan") -> dict[str, Any]:
    """Return the layer arguments that put a prediction where its input lies."""
    letters = "TZYX" if plan.output_axes.startswith("T") else "ZYX"
    at = [reading.letters.find(letter) for letter in letters]
    scale, translate, units = [], [], []
    voxel = input_voxel(plan)
    shift = np.subtract(plan.origin, reading.volume.origin)
    step = np.zeros(len(letters))
    for place, (letter, i) in enumerate(zip(letters, at, strict=True)):
        own = float(layer.scale[i]) if i >= 0 else 1.0
        translate.append(float(layer.translate[i]) if i >= 0 else 0.0)
        units.append(layer.units[i] if i >= 0 else layer.units[-1])
        if letter == "T":
            scale.append(own)
            continue
        number = "ZYX".index(letter)
        per_um = own / voxel[number]  # layer units, with their sign, for each µm
        scale.append(plan.voxel_size[number] * per_um)
        step[place] = shift[number] * per_um
    turn = _sub_block(np.asarray(layer.rotate), at)
    shear = _sub_block(shear_matrix(layer), at)
    result: dict[str, Any] = {
        "scale": scale,
        "translate": list(np.asarray(translate) + turn @ shear @ step),
        "units": units,
        "axis_labels": [letter.lower() for letter in letters],
    }
    if not np.allclose(turn, np.eye(len(at))):
        result["rotate"] = turn
    if not np.allclose(shear, np.eye(len(at))):
        result["shear"] = shear[np.triu_indices(len(at), 1)]
    affine = np.asarray(layer.affine)
    if not np.allclose(affine, np.eye(layer.ndim + 1)):
        result["affine"] = _sub_block(affine, [*at, layer.ndim])
    labels = [str(label) for label in layer.axis_labels]
    if all(i >= 0 for i in at) and not labels[0].lstrip("-").isdigit():
        result["axis_labels"] = [labels[i] for i in at]
    return result


def _sub_block(matrix: np.ndarray, at: list[int]) -> np.ndarray:
    """Take the rows and columns of some axes; an axis of -1 is a new one."""
    block = np.eye(len(at))
    old = [place for place, i in enumerate(at) if i >= 0]
    axes = [at[place] for place in old]
    block[np.ix_(old, old)] = matrix[np.ix_(axes, axes)]
    return block


def shear_matrix(layer: Any) -> np.ndarray:
    """Return the shear over all axes; napari stores its upper triangle."""
    values = np.asarray(layer.shear, float)
    if values.ndim == 2:
        return values
    matrix = np.eye(layer.ndim)
    matrix[np.triu_indices(layer.ndim, 1)] = values
    return matrix
