"""Where a prediction lies in the world, so that it overlays the layer it came from."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp.ui.layers.volume import LayerReading

if TYPE_CHECKING:
    from napari_sparsessp.prediction.plan import Plan


def input_voxel(plan: "Plan") -> tuple[float, float, float]:
    """Give the (z, y, x) size in µm that the plan took the layer's voxels for.

    It follows from the geometry alone, also where the size was not known.
    """
    view = plan.view
    step = plan.card.voxel_size[0]  # of the dense grid; a projection is thicker
    if len(view.planes) > 1:
        dense = view.positions[1] - view.positions[0]
        z = step * dense / (view.planes[1] - view.planes[0])
    else:
        z = step * view.ratio
    return z, *plan.input_pixel


def placement(layer: Any, reading: LayerReading, plan: "Plan") -> dict[str, Any]:
    """Give the layer arguments that put a prediction where its input lies.

    Parameters
    ----------
    layer : napari.layers.Image
        The input.
    reading : LayerReading
        What was read from it.
    plan : Plan
        Grid of the prediction.

    Returns
    -------
    dict
        ``scale``, ``translate``, ``units``, ``axis_labels`` and, where the input is
        turned, ``rotate``, ``shear`` and ``affine``; for axes ((T,) Z, Y, X).
    """
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
    shear = _sub_block(_upper(layer.shear, layer.ndim), at)
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
    """Take the rows and columns of some axes; an axis of -1 is a fresh one."""
    block = np.eye(len(at))
    for row, i in enumerate(at):
        for column, j in enumerate(at):
            if i >= 0 and j >= 0:
                block[row, column] = matrix[i, j]
    return block


def _upper(shear: Any, ndim: int) -> np.ndarray:
    """Give the shear matrix; napari stores its upper triangle."""
    values = np.asarray(shear, float)
    if values.ndim == 2:
        return values
    matrix = np.eye(ndim)
    matrix[np.triu_indices(ndim, 1)] = values
    return matrix
