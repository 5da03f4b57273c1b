"""The measured planes, checked, normalised and on the model's pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.prediction.decoded import DecodedPlanes
from napari_sparsessp.prediction.normalisation import Normalisation, Survey
from napari_sparsessp.prediction.ordering import Successor
from napari_sparsessp.prediction.pixels import Pixels, PixelsInMemory
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.regions import PixelsFromFile, normalised
from napari_sparsessp.prediction.tiling import Tile
from napari_sparsessp.resampling import LateralResampling
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    import torch


KEPT_PART = 3
"""One part of the share is for what chunks hold beyond a tile; the rest is for what
tiles need and for reading."""


class Interrupted(Exception):
    """Reading ended because the run was cancelled; never reaches the user."""


@dataclass(frozen=True, eq=False)
class MeasuredStack:
    """What the network may look at; planes that were not measured never get here.

    Attributes
    ----------
    pixels : Pixels
        (n, H', W') normalised, on the model's pixels, padded at the far edges to
        multiples of the network's stride.
    weights : Tensor
        (D, n) share of each measured plane in each dense plane.
    distance : Tensor
        (D,) signed distance to the nearest measured plane.
    nearest : ndarray
        (D,) which measured plane is nearest.
    normalisation : Normalisation
    left_out : tuple of int
        Planes of the input that took no part in the normalisation.
    successor : Successor
        Guesses which tile is next.
    """

    pixels: Pixels
    weights: "torch.Tensor"
    distance: "torch.Tensor"
    nearest: np.ndarray
    normalisation: Normalisation
    left_out: tuple[int, ...]
    successor: Successor

    def window(self, tile: Tile) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Interpolated input of a tile.

        Returns
        -------
        dense : Tensor
            (D, h, w); planes beyond the volume repeat its ends.
        distance : Tensor
            (D,)

        Raises
        ------
        InputError
            The file is damaged there.
        """
        import torch

        inside = self._inside(tile)
        weights = self.weights[inside]
        used = weights.any(0).nonzero()[:, 0]
        area = self.pixels.area(used.tolist(), *_read(tile))
        dense = torch.einsum("dn,nhw->dhw", weights[:, used], torch.from_numpy(area))
        following = self.successor.after(tile)
        if following is not None:
            self.pixels.expect(self._used(following), *_read(following))
        beyond = torch.arange(*tile.z) - inside
        return dense, self.distance[inside] + beyond

    def masked(self, tile: Tile) -> np.ndarray | None:
        """Tell where a tile's nearest measured pixels are NaN or infinite.

        Returns
        -------
        ndarray or None
            Bool (D, H, W) of ``tile.box``; None where no pixel is.
        """
        z, y, x = tile.box
        nearest = self.nearest[z]
        planes = np.unique(nearest)
        masked = self.pixels.masked(planes.tolist(), y, x)
        return None if masked is None else masked[np.searchsorted(planes, nearest)]

    def close(self) -> None:
        """Release the planes and end what reads them."""
        self.pixels.close()

    def _inside(self, tile: Tile) -> "torch.Tensor":
        import torch

        return torch.arange(*tile.z).clamp(0, len(self.weights) - 1)

    def _used(self, tile: Tile) -> list[int]:
        used = self.weights[self._inside(tile)].any(0).nonzero()[:, 0]
        return [int(plane) for plane in used]


def read_stack(
    plan: Plan,
    time: int | None,
    stopped: Callable[[], bool] = lambda: False,
    known: Normalisation | None = None,
) -> MeasuredStack:
    """Open the measured planes of one time point and find their scale.

    A stack that fits the plan's share of memory is read here, once; a larger one is
    read through once for its scale, then region by region as tiles need it.

    Parameters
    ----------
    plan : Plan
    time : int or None
        Index on the input's time axis.
    stopped : callable, optional
        Asked between parts of the file; true ends the reading.
    known : Normalisation, optional
        What an earlier run has found here.

    Raises
    ------
    InputError
        NaN or infinite values (unless masked on request), a constant image, or a
        damaged file.
    Interrupted
        `stopped` said so.
    """
    import torch

    volume = plan.volume if time is None else plan.volume.time(time)
    lateral = LateralResampling(
        (volume.shape[-2], volume.shape[-1]),
        plan.input_pixel,
        plan.model_pixel,
        plan.model_shape[1:],
    )
    read = _read_whole if _fits(plan, volume) else _read_by_region
    if plan.request.normalisation is not None:
        known = Normalisation(*plan.request.normalisation)
    try:
        pixels, scale = read(plan, volume, lateral, stopped, known)
    except InputError as error:
        if time is None:
            raise
        raise InputError(f"time point {time}: {error}") from error
    return MeasuredStack(
        pixels,
        torch.from_numpy(plan.view.weights(plan.card.interpolation)),
        torch.from_numpy(plan.view.distance()),
        plan.view.weights("nearest").argmax(1),
        scale,
        tuple(plan.view.planes[plane] for plane in scale.left_out),
        Successor(plan.tiles),
    )


def _read_whole(
    plan: Plan,
    volume: Volume,
    lateral: LateralResampling,
    stopped: Callable[[], bool],
    known: Normalisation | None,
) -> tuple[Pixels, Normalisation]:
    planes = volume.planes(plan.view.planes)
    count, height, width = planes.shape
    survey = Survey((count, height, width), plan.card.scaling)
    bad = {}
    for index, plane in enumerate(planes):
        where = survey.add(index, 0, plane)
        if where is not None:
            bad[index] = where
    _check_invalid(plan, survey.invalid, height * width)
    scale = known or survey.result()
    size = tuple(extent + -extent % plan.tile_size.stride for extent in lateral.size)
    padding = [(0, b - a) for a, b in zip(lateral.size, size, strict=True)]
    result = np.empty((count, *size), np.float32)
    invalid = np.zeros((count, *lateral.size), bool) if bad else None
    for index, plane in enumerate(planes):
        if stopped():
            raise Interrupted
        if invalid is not None and index in bad:
            plane[bad[index]] = scale.mean
            invalid[index] = lateral(bad[index].astype(np.float32)) > 0
        result[index] = np.pad(normalised(lateral(plane), scale), padding, mode="edge")
    return PixelsInMemory(result, invalid), scale


def _read_by_region(
    plan: Plan,
    volume: Volume,
    lateral: LateralResampling,
    stopped: Callable[[], bool],
    known: Normalisation | None,
) -> tuple[Pixels, Normalisation]:
    planes = plan.view.planes
    source = DecodedPlanes(volume, planes, _share(plan) // KEPT_PART)
    height, width = volume.shape[-2:]
    survey = Survey((len(planes), height, width), plan.card.scaling)
    whole_numbers = np.dtype(volume.array.dtype).kind in "bui"
    if known is None or not whole_numbers:
        for plane, row, values in source.bands():
            if stopped():
                raise Interrupted
            survey.add(plane, row, values)
    _check_invalid(plan, survey.invalid, height * width)
    scale = known or survey.result()
    mask = bool(survey.invalid.any())
    return PixelsFromFile(source, lateral, scale, mask=mask), scale


def _share(plan: Plan) -> int:
    return plan.memory.input_share


def _fits(plan: Plan, volume: Volume) -> bool:
    """Whether the planes fit the share, as they are read and as they are kept."""
    height, width = volume.shape[-2:]
    stride = plan.tile_size.stride
    rows, columns = (extent + -extent % stride for extent in plan.model_shape[1:])
    pixels = height * width + rows * columns
    return 4 * len(plan.view.planes) * pixels <= _share(plan)


def _read(tile: Tile) -> tuple[slice, slice]:
    return slice(*tile.read_y), slice(*tile.read_x)


def _check_invalid(plan: Plan, invalid: np.ndarray, size: int) -> None:
    """Refuse NaN and infinite values, unless they are masked."""
    if not invalid.any():
        return
    if (invalid == size).all():
        raise InputError(
            "every value of the image is NaN or infinite, so there is nothing to "
            "predict from; check that the right channel and file were chosen"
        )
    if plan.request.mask_invalid:
        return
    where = int(np.argmax(invalid > 0))
    raise InputError(
        f"the image has {int(invalid.sum())} NaN or infinite values, first in plane "
        f"{plan.view.planes[where]}; mend the file, or ask to mask them "
        "(--mask-invalid)"
    )
