"""From a napari layer to a `Volume`: axes, scale, units, position; no pixel is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.ui.layers.metadata import FilePlace, role_of, structure_named
from napari_sparsessp.ui.layers.recorded import Axes, keep, recall
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
    steps: tuple[float, float, float]  # between voxels, µm or pixels of the world
    frame: np.ndarray  # (3, 3): from along the volume's axes to along the world's
    moved: Axes  # along its own, since its file was read


def read_layer(
    layer: Any,
    *,
    leading: LeadingAxis | None = None,
    voxel_size: tuple[float, float, float] | None = None,
    onto: LayerReading | None = None,
) -> LayerReading:
    """Take a napari image layer, of any array or multiscale, as a volume.

    A nameless fourth axis is `leading`, or guessed from its length; a voxel size,
    (z, y, x) in µm, stands in place of the layer's. The volume lies along the layer's
    own axes, or along those of the layer that it is read `onto`: scale, translation,
    rotation, shear and affine of both count. InputError where the layer is RGB, its
    axes cannot be understood, or it is turned out of the other's plane.
    """
    if getattr(layer, "rgb", False):
        raise InputError(
            f"layer {layer.name!r} is a colour (RGB) picture; split it (right click > "
            "Split RGB) and take the channel with the transmitted light"
        )
    array = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    letters, guessed = axis_letters(layer, tuple(array.shape), leading)
    sizes = dict(zip(letters, array.shape, strict=True))
    array, axes = _canonical(array, letters)
    matrix, place = _to_world(layer, letters)
    own = np.linalg.solve(matrix / np.linalg.norm(matrix, axis=0), place)
    if onto is None:
        steps = np.linalg.norm(matrix, axis=0)
        frame = matrix / (voxel_size or steps)
        place = np.linalg.solve(frame, place)
    else:
        frame = onto.frame
        matrix, place = np.linalg.solve(frame, matrix), np.linalg.solve(frame, place)
        names = str(layer.name), onto.volume.name
        array, steps, place = _aligned(array, axes, matrix, place, names)
    found, pixel, assumed = _known_size(layer, letters, steps)
    path = getattr(getattr(layer, "source", None), "path", None)
    volume = Volume(
        array,
        axes,
        voxel_size or found,
        origin=tuple(place),
        name=str(layer.name),
        source=str(path or layer.name),
        pixel_size=None if voxel_size else pixel,
    )
    volume, moved = recall(layer, volume, own.tolist())
    if onto is not None:
        # a truth that the user has moved, or the input, lies where it is seen to lie
        by_hand = zip(moved or np.abs(own) > 1e-6, onto.moved, strict=True)
        known = zip(volume.placed, onto.volume.placed, by_hand, strict=True)
        placed = tuple(its if any(hand) else its_own for its_own, its, hand in known)
        volume = volume.with_(placed=placed)
    ambiguous = guessed if guessed is not None and sizes[letters[guessed]] > 1 else None
    assumed = assumed and voxel_size is None
    z, y, x = map(float, steps)
    moved = moved or (False, False, False)
    return LayerReading(volume, letters, ambiguous, assumed, (z, y, x), frame, moved)


def lie_apart(one: LayerReading, other: LayerReading) -> bool:
    """Return whether voxels of the same number lie at other places of the world.

    By more than half a voxel, at any corner; False where the size of one is unknown.
    One plane may stand for a whole stack: then z is left aside.
    """
    if one.volume.voxel_size is None or other.volume.voxel_size is None:
        return False
    sizes = [reading.volume.shape[-3:] for reading in (one, other)]
    axes = [0, 1, 2] if sizes[0][0] == sizes[1][0] else [1, 2]
    corners = np.indices((2, 2, 2)).reshape(3, -1).T * (np.array(sizes[0]) - 1)
    here, there = (
        (reading.volume.origin + corners * reading.steps) @ reading.frame.T
        for reading in (one, other)
    )
    off = np.linalg.solve(one.frame, (there - here).T).T / one.steps
    return bool((np.abs(off[:, axes]) > 0.5).any())


def are_turned(one: LayerReading, other: LayerReading) -> bool:
    """Return whether two layers are turned, mirrored or sheared against each other."""
    here, there = (
        reading.frame / np.linalg.norm(reading.frame, axis=0)
        for reading in (one, other)
    )
    return not np.allclose(np.linalg.solve(there, here), np.eye(3), atol=1e-4)


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


def _to_world(layer: Any, letters: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a layer's whole transform, from z, y, x of its voxels to the world.

    A matrix, (3, 3), and the place of voxel 0: µm, or pixels where a unit is no length.
    """
    affine = np.asarray(layer.affine, float)
    own = np.asarray(layer.rotate) @ shear_matrix(layer) @ np.diag(layer.scale)
    whole = affine[:-1, :-1] @ own
    start = affine[:-1, :-1] @ np.asarray(layer.translate, float) + affine[:-1, -1]
    rows = [row for row, letter in enumerate("ZYX") if letter in letters]
    at = [letters.index("ZYX"[row]) for row in rows]
    units = np.array([micrometres(layer.units[i]) or 1.0 for i in at])
    matrix, place = np.eye(3), np.zeros(3)
    matrix[np.ix_(rows, rows)] = whole[np.ix_(at, at)] * units[:, None]
    place[rows] = start[at] * units
    return matrix, place


Size = tuple[float, float, float]


def _known_size(
    layer: Any, letters: str, steps: Sequence[float]
) -> tuple[Size | None, tuple[float, float] | None, bool]:
    """Return voxel size, pixel size (y, x) in µm, and whether the unit was assumed.

    Steps of 1 in pixels along all axes are napari's default: they say nothing.
    """
    at = {letter: i for i, letter in enumerate(letters)}
    step = dict(zip("ZYX", map(float, steps), strict=True))
    length = {i: micrometres(layer.units[at[i]]) is not None for i in "ZYX" if i in at}
    pixel = step["Y"], step["X"]
    if any(not np.isfinite(step[i]) or step[i] <= 0 for i in length):
        return None, None, False
    assumed = not all(length.values())
    if assumed and length["Y"] and length["X"] and abs(step["Z"] - 1) < 1e-9:
        # y and x are in µm and z is left at one pixel: only the step is unknown
        return None, pixel, False
    if assumed and all(abs(step[i] - 1) < 1e-9 for i in length):
        return None, None, False
    return ((step["Z"], *pixel) if "Z" in length else None), pixel, assumed


# Voxels by which the far end of a stack may lie off its grid.
_SLACK = 0.1


def _aligned(
    array: Any, axes: str, matrix: np.ndarray, place: np.ndarray, names: tuple[str, str]
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Bring voxels that lie askew along the axes of another layer.

    `matrix` and `place` are those of the voxels along these axes. Return array, steps
    and place. What is mirrored is flipped; what is turned or sheared in the plane is
    resampled plane by plane, NaN where it does not reach. InputError where it is so out
    of the plane.
    """
    shape = dict(zip(axes, array.shape, strict=True))
    sizes = np.array([shape[letter] for letter in "ZYX"], float)
    steps = np.linalg.norm(matrix, axis=0)
    off = np.abs(matrix - np.diag(np.diag(matrix))) * sizes / steps[:, None]
    if (off[0, 1:] > _SLACK).any() or (off[1:, 0] > _SLACK).any():
        raise InputError(
            f"layer {names[0]!r} is turned or sheared out of the plane of "
            f"{names[1]!r}; resample it onto that one's voxels first, or give both the "
            "same rotation, shear and affine"
        )
    flips = [bool(value < 0) for value in np.diag(matrix)]
    if (off > _SLACK).any():
        flips[1:] = False, False  # part of what is resampled
    if any(flips):
        array = _lazy(array)
        array = array[..., *(slice(None, None, -1 if flip else None) for flip in flips)]
        for axis in np.flatnonzero(flips):
            place = place + matrix[:, axis] * (sizes[axis] - 1)
    if (off > _SLACK).any():
        array, corner = _turned(array, matrix[1:, 1:], steps[1:])
        place = np.array([place[0], *(place[1:] + corner)])
    return array, steps, place


def _turned(
    array: Any, matrix: np.ndarray, steps: np.ndarray
) -> tuple[Any, np.ndarray]:
    """Resample planes onto a grid along y and x; return them and its first place."""
    import dask.array as da
    from scipy.ndimage import affine_transform

    height, width = array.shape[-2:]
    corners = [[0, 0], [height - 1, 0], [0, width - 1], [height - 1, width - 1]]
    low, high = (f(corners @ matrix.T, axis=0) for f in (np.min, np.max))
    shape = tuple(int(n) + 1 for n in np.ceil((high - low) / steps))
    back = np.linalg.inv(matrix)

    def turn(block: np.ndarray) -> np.ndarray:
        planes = block.reshape(-1, height, width).astype(np.float32)
        where = {"offset": back @ low, "output_shape": shape, "order": 1}
        turned = [
            affine_transform(one, back * steps, **where, cval=np.nan) for one in planes
        ]
        return np.reshape(turned, (*block.shape[:-2], *shape))

    lazy = da.asarray(_lazy(array)).rechunk((*[1] * (array.ndim - 2), height, width))
    chunks = (*lazy.chunks[:-2], (shape[0],), (shape[1],))
    return da.map_blocks(turn, lazy, dtype=np.float32, chunks=chunks), low


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
        if structure is not None and suffix:
            name = f"{structure.label}{suffix}"
        label = " · ".join(filter(None, [volume.name, name]))
        attributes["name"] = label or "image"
        if structure is not None:
            attributes |= {
                "colormap": preferences().colour(structure.id),
                "blending": "additive",
                "visible": bool(visible),
            }
        else:
            attributes |= {
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


def is_light(layer: Any) -> bool:
    """Return whether a layer is named like transmitted light."""
    words = str(layer.name).lower().replace("-", " ").replace("_", " ").split()
    return any(word.strip(".,;:()[]×") in _LIGHT_WORDS for word in words)


def _unlikely_input(layer: Any) -> tuple[int, int]:
    """Sort transmitted light first and what is named like a structure last."""
    if is_light(layer):
        return 0, 0
    return (2 if structure_named(layer.name) else 1), 0 if layer.ndim >= 3 else 1


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


def same_place(layer: Any, reading: LayerReading) -> dict[str, Any]:
    """Return the layer arguments that put a stack of all its planes and times there."""
    letters = "TZYX" if "T" in reading.volume.axes else "ZYX"
    at = [reading.letters.find(letter) for letter in letters]
    result: dict[str, Any] = {
        name: [getattr(layer, name)[i] for i in at]
        for name in ("scale", "translate", "units", "axis_labels")
    }
    return {**result, **_orientation(layer, at)}


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
        **_orientation(layer, at),
        "scale": scale,
        "translate": list(np.asarray(translate) + turn @ shear @ step),
        "units": units,
        "axis_labels": [letter.lower() for letter in letters],
    }
    labels = [str(label) for label in layer.axis_labels]
    if all(i >= 0 for i in at) and not labels[0].lstrip("-").isdigit():
        result["axis_labels"] = [labels[i] for i in at]
    return result


def _orientation(layer: Any, at: list[int]) -> dict[str, Any]:
    """Return rotation, shear and affine of some dimensions, where there are any."""
    result: dict[str, Any] = {}
    turn = _sub_block(np.asarray(layer.rotate), at)
    shear = _sub_block(shear_matrix(layer), at)
    if not np.allclose(turn, np.eye(len(at))):
        result["rotate"] = turn
    if not np.allclose(shear, np.eye(len(at))):
        result["shear"] = shear[np.triu_indices(len(at), 1)]
    affine = np.asarray(layer.affine)
    if not np.allclose(affine, np.eye(layer.ndim + 1)):
        result["affine"] = _sub_block(affine, [*at, layer.ndim])
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
