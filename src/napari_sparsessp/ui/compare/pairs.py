"""What a viewer holds to compare: predictions, their input, their truths.

Nothing is asked of the Predict dock: what stands on the layers tells, also of layers
that were opened from a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.structures import match_channel, structure_or_custom
from napari_sparsessp.ui.layers.catalogue import truth_choices
from napari_sparsessp.ui.layers.marks import (
    ERROR,
    KEY,
    PREDICTION,
    UNCERTAINTY,
    model_of,
    role_of,
)
from napari_sparsessp.ui.layers.viewport import layer_index
from napari_sparsessp.ui.layers.volume import LeadingAxis, micrometres, read_layer
from napari_sparsessp.ui.napari_compat import layer_key, layer_with_key
from napari_sparsessp.volume import Volume


@dataclass(frozen=True, eq=False)
class Family:
    """All that one model has made of one input.

    Attributes
    ----------
    key : str
        Names it for as long as its layers live.
    label : str
        For people: input and model.
    source : Layer or None
        The input, where it is still there.
    predictions, uncertainties, errors : dict
        Structure id to layer.
    """

    key: str
    label: str
    source: Any | None
    predictions: dict[str, Any] = field(default_factory=dict)
    uncertainties: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pair:
    """A prediction and its truth at one time point, as they were when it was taken.

    Attributes
    ----------
    structure : str
    prediction, truth : Volume
        ZYX; placed so that what lies over one another on screen is compared.
    prediction_key, truth_key : str
        Keys of their layers.
    time : int or None
    """

    structure: str
    prediction: Volume
    truth: Volume
    prediction_key: str
    truth_key: str
    time: int | None


def families(viewer: Any) -> list[Family]:
    """Find what can be compared, lowest layer first.

    Parameters
    ----------
    viewer : napari.Viewer
    """
    found: dict[str, Family] = {}
    errors = []
    for layer in viewer.layers:
        role = role_of(layer)
        if role == ERROR:
            errors.append(layer)
        if role not in (PREDICTION, UNCERTAINTY):
            continue
        about = layer.metadata[KEY]
        if about.get("state") == "outdated":
            continue
        source_id, model = about.get("source_id"), model_of(layer)
        key = f"{source_id or about.get('source', '')}|{model}"
        if key not in found:
            source = layer_with_key(viewer, source_id)
            name = str(about.get("source", "")) if source is None else source.name
            label = " · ".join(filter(None, [str(name), model])) or str(layer.name)
            found[key] = Family(key, label, source)
        mine = found[key]
        kind = mine.predictions if role == PREDICTION else mine.uncertainties
        kind[str(about["structure"])] = layer
    for layer in errors:
        of = layer.metadata[KEY].get("of_id")
        for one in found.values():
            for id_, prediction in one.predictions.items():
                if layer_key(prediction) == of:
                    one.errors[id_] = layer
    return [one for one in found.values() if one.predictions]


def truth_of(
    viewer: Any, family: Family, structure: str, chosen: Mapping[str, str | None]
) -> Any | None:
    """Find the truth of a structure: the user's choice, the run's, or one of its name.

    Parameters
    ----------
    viewer : napari.Viewer
    family : Family
    structure : str
    chosen : mapping
        Structure id to the key of a layer, or None for none, where the user chose.
    """
    if structure in chosen:
        return layer_with_key(viewer, chosen[structure])
    about = family.predictions[structure].metadata[KEY]
    linked = layer_with_key(viewer, about.get("truth_id"))
    if linked is not None:
        return linked
    source = None if family.source is None else layer_key(family.source)
    offers = truth_choices(viewer, source)
    found = match_channel(structure_or_custom(structure), [name for _, name in offers])
    return None if found is None else layer_with_key(viewer, offers[found][0])


def time_of(viewer: Any, prediction: Any) -> int | None:
    """Time point of a prediction that is on screen; None for one without times."""
    return int(layer_index(viewer, prediction)[0]) if prediction.ndim == 4 else None


def pair_of(
    structure: str,
    prediction: Any,
    truth: Any,
    source: Any | None,
    time: int | None,
) -> Pair:
    """Freeze a prediction and its truth for a thread; no voxel is read.

    Parameters
    ----------
    structure : str
    prediction, truth, source : Layer
        The input may be None.
    time : int or None
        Time point to take.

    Raises
    ------
    InputError
        The two cannot be compared.
    """
    return _pair(structure, prediction, truth, source, time)


def _pair(
    structure: str,
    prediction: Any,
    truth: Any,
    source: Any | None,
    time: int | None,
    channel: int | str | None = None,
) -> Pair:
    # four axes without names: those of a prediction say what the others' are
    leading: LeadingAxis | None = None if time is None else "T"
    found = read_layer(prediction, leading=leading).volume
    found = _one_time(found, time, "the prediction")
    true = read_layer(truth, leading=leading).volume
    if "C" in true.axes and channel is not None:
        true = true.channel(channel)
    elif "C" in true.axes:
        raise InputError(
            f"layer {truth.name!r} has several channels; split it (right click > Split "
            "Stack) and choose one of them as truth"
        )
    true = _one_time(true, time, f"truth {truth.name!r}")
    if not has_length(prediction) and not has_length(truth):
        # both in the same pixels of one world
        found = found.with_(voxel_size=_steps(prediction), pixel_size=None)
        true = true.with_(voxel_size=_steps(truth), pixel_size=None)
    elif true.voxel_size is None:
        true = _placed_like(true, found, source, truth)
    found = found.with_(origin=_origin(prediction))
    if true.voxel_size is not None and _placed(truth):
        if not _as_turned(prediction, truth):
            raise InputError(
                f"layer {truth.name!r} is turned or mirrored against the prediction; "
                "give it the same rotation and affine transformation"
            )
        true = true.with_(origin=_origin(truth))
    return Pair(structure, found, true, layer_key(prediction), layer_key(truth), time)


def _one_time(volume: Volume, time: int | None, what: str) -> Volume:
    times = volume.sizes.get("T", 1)
    if time is None and times > 1:
        raise InputError(f"{what} has {times} time points, the other none; take one")
    if time is not None and "T" not in volume.axes:
        raise InputError(f"{what} has no time points; give one that has as many")
    return volume if time is None else volume.time(time)


def has_length(layer: Any) -> bool:
    """Whether a layer is measured in µm and the like, not in pixels."""
    return micrometres(layer.units[-1]) is not None


def _placed(layer: Any) -> bool:
    """Whether somebody has told where the layer lies: its place counts."""
    return has_length(layer) or not np.allclose(layer.scale[-3:], 1)


def _steps(layer: Any) -> tuple[float, float, float]:
    z, y, x = ([1.0, *map(abs, layer.scale)])[-3:]
    return float(z), float(y), float(x)


def _placed_like(
    truth: Volume, prediction: Volume, source: Any | None, layer: Any
) -> Volume:
    """Put a truth without a voxel size where its shape says that it belongs."""
    shape = truth.shape[-3:]
    flat = shape[0] == prediction.shape[-3] == 1  # they lie nowhere in z
    if flat and truth.pixel_size is not None and prediction.voxel_size is not None:
        return truth.with_(voxel_size=(prediction.voxel_size[0], *truth.pixel_size))
    if shape == prediction.shape[-3:]:
        return truth.with_(voxel_size=prediction.voxel_size, origin=prediction.origin)
    if source is not None:
        light = read_layer(source).volume
        if shape == light.shape[-3:] and light.voxel_size is not None:
            return truth.with_(voxel_size=light.voxel_size, origin=_origin(source))
    raise InputError(
        f"layer {layer.name!r} has {'×'.join(map(str, shape))} voxels, as neither the "
        "prediction nor its input, and no voxel size; set its scale and units"
    )


def _turn(layer: Any) -> np.ndarray:
    """Rotation and shear of z, y and x."""
    rotate = np.asarray(layer.rotate)[-3:, -3:]
    shear = np.eye(layer.ndim)
    values = np.asarray(layer.shear, float)
    if values.ndim == 1:
        shear[np.triu_indices(layer.ndim, 1)] = values
    else:
        shear = values
    return rotate @ shear[-3:, -3:]


def _as_turned(one: Any, other: Any) -> bool:
    if one.ndim < 3 or other.ndim < 3:
        return True
    same = np.allclose(_turn(one), _turn(other))
    signs, other_signs = (np.sign(layer.scale[-3:]) for layer in (one, other))
    affine, other_affine = (
        np.asarray(layer.affine)[-4:, -4:] for layer in (one, other)
    )
    return (
        same
        and np.array_equal(signs, other_signs)
        and np.allclose(affine, other_affine)
    )


def _origin(layer: Any) -> tuple[float, float, float]:
    """Centre of voxel 0 along the layer's own axes, in µm or the world's pixels."""
    number = min(layer.ndim, 3)
    place = np.asarray(layer.translate, float)[-number:]
    if number == 3:
        place = np.linalg.solve(_turn(layer), place)
    units = [micrometres(unit) or 1.0 for unit in layer.units[-number:]]
    place = place * units * np.sign(layer.scale[-number:])
    z, y, x = ([0.0, *map(float, place)])[-3:]
    return z, y, x


def light_of(family: Family, structure: str, time: int | None) -> Volume | None:
    """Give the input, placed as a prediction's truth would be; None where it is gone.

    Parameters
    ----------
    family : Family
    structure : str
        Any of its predictions.
    time : int or None
    """
    source, prediction = family.source, family.predictions[structure]
    if source is None:
        return None
    about = prediction.metadata[KEY].get("request") or {}
    try:
        return _pair(
            structure, prediction, source, source, time, about.get("channel") or 0
        ).truth
    except InputError:
        return None
