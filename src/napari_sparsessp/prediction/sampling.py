"""Find measured planes and pixel size of the input on the dense grid."""

from collections.abc import Iterator
from dataclasses import dataclass

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.card import ModelCard, is_foreign
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.sparse import SparseView
from napari_sparsessp.volume import Volume, even_step

RATIO_TOLERANCE = 0.1
"""Share by which a given ratio may differ from the one that the voxel size means."""

LARGEST_FACTOR = 100.0
"""Pixels further than this from the model's are in another unit."""

CAMERA_FACTOR = 8.0
"""A file's pixels that are larger by this are a camera's, before any objective."""

PIXEL_TOLERANCE = 2.0
"""Pixels further than this factor from the model's get a warning."""

FOREIGN_TOLERANCE = 1.3
"""The same for a model of others, which nobody here has tried at other sizes."""

_COMPARE = "or compare the prediction with fluorescence first"


@dataclass(frozen=True)
class Sampling:
    """Position of the input's voxels."""

    view: SparseView
    pixel: tuple[float, float]  # (y, x) of the input in µm, known or assumed
    step: float | None  # z step of the input in µm, None where unknown
    known: bool  # Whether the pixel size was known
    warnings: tuple[str, ...]  # What was assumed, and what is unusual


def plan_sampling(
    card: ModelCard, volume: Volume, request: PredictionRequest
) -> Sampling:
    """Find measured planes and pixel size, or say why they contradict."""
    warnings = list(volume.notes)
    voxel = request.voxel_size or volume.voxel_size
    step = voxel[0] if voxel else None
    pixel = voxel[1:] if voxel else volume.pixel_size
    if volume.sizes["Z"] == 1:
        if step is None and request.ratio is None and pixel is None:
            raise InputError(
                "the image has no z axis, only one plane; open a z-stack, or say with "
                "the ratio how many dense planes the one plane stands for"
            )
        warnings.append(
            "the image is one plane: depth is guessed from it alone; image at least "
            "two planes for a stack that can be trusted"
        )
    view = _view(card, volume, step, request, warnings)
    known = pixel is not None
    if pixel is None:
        pixel = card.voxel_size[1:]
        warnings.append(
            f"the pixel size is unknown: {pixel[1]:g} µm, the model's own, was "
            "assumed; give the voxel size if it differs"
        )
    axis, own, model, factor = max(
        (
            (axis, own, model, max(own / model, model / own))
            for axis, own, model in zip("yx", pixel, card.voxel_size[1:], strict=True)
        ),
        key=lambda row: row[3],
    )
    if factor > LARGEST_FACTOR:
        raise InputError(
            f"pixels of {own:g} µm cannot be meant for model {card.id}, which was "
            f"made for {model:g} µm; correct the voxel size"
        )
    if request.voxel_size is None and own > CAMERA_FACTOR * model:
        raise InputError(
            f"the file says pixels of {own:g} µm, so that the result would have "
            f"{factor**2:.0f} times as many as the image: this looks like the pixel of "
            "the camera, without the objective; divide it by the magnification and "
            "give --voxel-size Z,Y,X, or give it as it is to insist"
        )
    if is_foreign(card):
        warnings += _foreign(card, view, axis, own, model)
    elif factor > PIXEL_TOLERANCE:
        warnings.append(
            f"pixels of {own:g} µm in {axis} are far from the {model:g} µm that "
            f"model {card.id} was made for; expect poor predictions"
        )
    low, high = min(card.ratios), max(card.ratios)
    coarse = view.ratio > high * 1.05 and not is_foreign(card)
    if coarse or view.ratio < low / 1.5:
        span = f"outside the {low:g} to {high:g}"
        which = f"not the {low:g}" if low == high else span
        warnings.append(
            f"sparsity ratio {view.ratio:.3g} is {which} that model {card.id} was "
            "trained for"
        )
    return Sampling(view, pixel, step, known, tuple(warnings))


def _foreign(
    card: ModelCard, view: SparseView, axis: str, own: float, model: float
) -> Iterator[str]:
    """Warn where a stack differs from what a model of others was made for."""
    factor = own / model
    if not 1 / FOREIGN_TOLERANCE <= factor <= FOREIGN_TOLERANCE:
        size = f"{factor:.2g} times" if factor > 1 else f"1/{1 / factor:.2g} of"
        yield (
            f"pixels of {own:g} µm in {axis} are {size} the {model:g} µm that the "
            "model was made for, and resampling makes up for a part of it; image with "
            f"pixels nearer to that, {_COMPARE}"
        )
    dense = card.voxel_size[0]
    widest = dense * max(card.ratios)
    if view.ratio * dense > widest * 1.05:
        yield (
            f"planes {view.ratio * dense:.3g} µm apart are coarser than the "
            f"{widest:.3g} µm that the model was made for, and those in between are "
            f"interpolated; image every {widest:.3g} µm, {_COMPARE}"
        )
    window = card.patch[0]
    if 1 < view.depth < window:
        yield (
            f"the stack is {view.depth} planes deep on the model's grid and the model "
            f"saw {window} at a time; image a deeper stack, {_COMPARE}"
        )


def _view(
    card: ModelCard,
    volume: Volume,
    step: float | None,
    request: PredictionRequest,
    warnings: list[str],
) -> SparseView:
    dense, n_planes = card.voxel_size[0], volume.sizes["Z"]
    if (
        volume.plane_z
        and even_step(volume.plane_z[0]) is None
        and not request.voxel_size
    ):
        if request.simulate_sparse or request.ratio is not None:
            raise InputError(
                "the planes are not evenly spaced, so that no single ratio fits them; "
                "leave ratio and simulation out, or say a voxel size for all of them"
            )
        return SparseView.from_heights(volume.plane_z[0], dense)
    if request.simulate_sparse:
        return _simulated(n_planes, step, dense, request, warnings)
    if request.phase:
        raise InputError(
            f"phase {request.phase} says which planes to leave out of a dense stack; "
            "add simulate_sparse, or leave the phase out"
        )
    if request.ratio is None:
        if step is not None:
            return SparseView.from_voxel_size(n_planes, step, dense)
        warnings.append(
            "the z step is unknown: ratio 1 was assumed; give the ratio or the "
            "voxel size if planes were left out"
        )
        return SparseView.from_ratio(n_planes, 1)
    view = SparseView.from_ratio(n_planes, request.ratio)
    if step is None:
        return view
    meant = step / dense
    if abs(request.ratio / meant - 1) > RATIO_TOLERANCE:
        raise InputError(
            f"ratio {request.ratio:g} contradicts the voxel size: a z step of {step:g} "
            f"µm means ratio {meant:.3g} for planes of {dense:g} µm; leave the ratio "
            "out, correct the voxel size, or simulate sparsity from a dense stack"
        )
    return SparseView.from_voxel_size(n_planes, step, dense)


def _simulated(
    n_planes: int,
    step: float | None,
    dense: float,
    request: PredictionRequest,
    warnings: list[str],
) -> SparseView:
    ratio, phase = request.ratio, request.phase
    if ratio is None:
        raise InputError("give the ratio: which planes shall be left out?")
    if step is None:
        warnings.append(
            f"the z step is unknown: {dense:g} µm, the dense grid's, was assumed"
        )
        return SparseView.simulate(n_planes, ratio, phase)
    if step > 1.5 * dense:
        raise InputError(
            f"the stack is sparse already (z step {step:g} µm, dense grid {dense:g} "
            "µm); leave the simulation out"
        )
    close = abs(step / dense - 1) < 0.01
    step = 1.0 if close else step / dense
    return SparseView.simulate(n_planes, ratio, phase, step)
