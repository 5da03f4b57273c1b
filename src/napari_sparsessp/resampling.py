"""Resample images between voxel grids, with outer edges aligned.

Pixel i of a row covers the interval from i to i + 1, so its centre lies at i + 0.5 and
output pixel i is centred at ``(i + 0.5) * step_out / step_in - 0.5`` input pixels.
Where the grid becomes coarser, the interpolation kernel is widened by the same factor,
so that nothing aliases. Outside the image the edge pixel counts.

The z axis of a sparse stack is another matter: see `napari_sparsessp.sparse`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from napari_sparsessp.errors import InputError

Method = Literal["linear", "cubic"]

# Steps that differ by less are the same step written with fewer digits: over 4096
# pixels the drift stays below a hundredth of a pixel.
_SAME_STEP = 2e-6


def resampled_size(n: int, step_in: float, step_out: float) -> int:
    """Return how many pixels of `step_out` cover `n` of `step_in`, at least 1."""
    return max(1, math.floor(n * step_in / step_out + 0.5 + 1e-9))


def resampled_origin(
    origin: Sequence[float], step_in: Sequence[float], step_out: Sequence[float]
) -> tuple[float, ...]:
    """Return the centre (µm) of output voxel 0 such that the outer edges coincide."""
    axes = zip(origin, step_in, step_out, strict=True)
    return tuple(float(o + (b - a) / 2) for o, a, b in axes)


def resample_yx(
    array: Any,
    step_in: tuple[float, float],
    step_out: tuple[float, float],
    size: tuple[int, int] | None = None,
    *,
    method: Method = "linear",
) -> np.ndarray:
    """Resample the last two axes of (..., H, W), maybe lazy, plane by plane.

    Returns float32 (..., *size), equal to the input where steps and size are.

    Parameters
    ----------
    step_in, step_out
        (y, x) pixel size of input and output, in the same unit.
    size
        (y, x) pixels of the output; by default `resampled_size` of each axis.
    method
        Cubic is Keys' kernel (a = -0.5): sharper, may overshoot at edges.
    """
    *leading, height, width = array.shape
    lateral = LateralResampling((height, width), step_in, step_out, size, method=method)
    result = np.empty((*leading, *lateral.size), np.float32)
    for index in np.ndindex(*leading):
        result[index] = lateral(np.asarray(array[index], dtype=np.float32))
    return result


class LateralResampling:
    """Resampling of planes from a pixel grid to another, whole or in regions.

    Parameters
    ----------
    shape
        (y, x) pixels of the input.
    step_in, step_out, size, method
        As `resample_yx` takes them.
    shift
        (y, x) from the centre of input pixel 0 to that of output pixel 0; without it
        outer edges are aligned.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        step_in: tuple[float, float],
        step_out: tuple[float, float],
        size: tuple[int, int] | None = None,
        *,
        shift: tuple[float, float] | None = None,
        method: Method = "linear",
    ) -> None:
        _check_steps(*step_in, *step_out)
        axes = list(zip(shape, step_in, step_out, strict=True))
        if size is None:
            y, x = (resampled_size(*axis) for axis in axes)
            size = y, x
        self.size = size
        shifts = shift or [(b - a) / 2 for _, a, b in axes]
        self._taps = [
            _axis_taps(n, a, offset, b, m, method)
            for (n, a, b), offset, m in zip(axes, shifts, size, strict=True)
        ]
        self._region: Any = None  # the last one, and its taps

    def __call__(
        self, plane: np.ndarray, region: tuple[slice, slice] | None = None
    ) -> np.ndarray:
        """Resample a plane (H, W) float32, or what `source` says of it for a region.

        The numbers of a region (y, x) are bit-identical to those in the whole.
        """
        along_y, along_x = self._taps
        if region is not None:
            if self._region is None or self._region[0] != region:
                cuts = zip(self._taps, region, self.source(*region), strict=True)
                self._region = region, [_cut(*cut) for cut in cuts]
            along_y, along_x = self._region[1]
        if along_y is not None:
            plane = along_y @ plane
        return plane if along_x is None else (along_x @ plane.T).T

    def source(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the pixels of the input that a region of the output depends on."""
        y, x = map(_span, self._taps, (rows, columns))
        return y, x


def _cut(taps: Any | None, rows: slice, columns: slice) -> Any | None:
    return None if taps is None else taps[rows][:, columns]


def _span(taps: Any | None, part: slice) -> slice:
    """Input pixels from the first to the last that count for a part of the output."""
    if taps is None:
        return part
    used = taps.indices[taps.indptr[part.start] : taps.indptr[part.stop]]
    return slice(int(used.min()), int(used.max()) + 1)


def resample_zyx(
    array: Any,
    voxel_in: tuple[float, float, float],
    origin_in: tuple[float, float, float],
    voxel_out: tuple[float, float, float],
    origin_out: tuple[float, float, float],
    size: tuple[int, int, int],
    *,
    method: Method = "linear",
) -> np.ndarray:
    """Resample a stack (D, H, W), maybe lazy, onto another grid: float32 of `size`.

    Each plane that counts is read once. Outside the input its edge voxels count: ask
    `grid_coverage` first where that matters.

    Parameters
    ----------
    voxel_in, voxel_out
        (z, y, x) voxel size of input and output in µm.
    origin_in, origin_out
        (z, y, x) centre of voxel (0, 0, 0) of input and output in µm.
    """
    _check_steps(voxel_in[0], voxel_out[0])
    shift = [there - here for here, there in zip(origin_in, origin_out, strict=True)]
    along_z = _axis_taps(
        array.shape[0], voxel_in[0], shift[0], voxel_out[0], size[0], method
    )
    resample = LateralResampling(
        array.shape[1:],
        voxel_in[1:],
        voxel_out[1:],
        size[1:],
        shift=(shift[1], shift[2]),
        method=method,
    )
    if along_z is None:
        planes = (resample(np.asarray(plane, dtype=np.float32)) for plane in array)
        return np.stack(list(planes))
    result = np.zeros(size, np.float32)
    columns = along_z.tocsc()
    for plane in range(array.shape[0]):
        used = slice(columns.indptr[plane], columns.indptr[plane + 1])
        if used.start == used.stop:
            continue
        resampled = resample(np.asarray(array[plane], dtype=np.float32))
        for row, weight in zip(columns.indices[used], columns.data[used], strict=True):
            result[row] += weight * resampled
    return result


def grid_coverage(
    size_in: Sequence[int],
    voxel_in: Sequence[float],
    origin_in: Sequence[float],
    size_out: Sequence[int],
    voxel_out: Sequence[float],
    origin_out: Sequence[float],
) -> tuple[float, ...]:
    """Return, for each axis, the share of the output's extent that the input covers.

    Sizes are voxels, steps and origins (centres of voxel 0) µm; 0 (apart) to 1
    (covered), outer edge to outer edge.
    """
    shares = []
    for n, a, o_in, m, b, o_out in zip(
        size_in, voxel_in, origin_in, size_out, voxel_out, origin_out, strict=True
    ):
        low, high = o_out - b / 2, o_out - b / 2 + m * b
        first, last = o_in - a / 2, o_in - a / 2 + n * a
        shares.append(max(0.0, min(high, last) - max(low, first)) / (m * b))
    return tuple(shares)


def _axis_taps(
    n_in: int, step_in: float, shift: float, step_out: float, n_out: int, method: Method
) -> Any | None:
    """Return the (n_out, n_in) sparse weights of one axis, None for the identity.

    `shift` is the centre of output pixel 0 minus that of input pixel 0.
    """
    same_step = abs(step_out - step_in) <= _SAME_STEP * step_in
    if same_step and n_in == n_out and abs(shift) <= _SAME_STEP * step_in:
        return None
    from scipy.sparse import csr_array

    kernel, radius = _KERNELS[method]
    scale = max(1.0, step_out / step_in)
    centres = (shift + np.arange(n_out) * step_out) / step_in
    # Clamped first: a grid far outside the image must not make indices without end.
    reach = radius * scale
    centres = np.clip(centres, -reach, n_in - 1 + reach)
    first = np.ceil(centres - reach).astype(np.int64)
    taps = first[:, None] + np.arange(math.floor(2 * reach) + 1)
    offsets = taps - centres[:, None]
    weights = _centred(kernel(offsets / scale), offsets)
    rows = np.broadcast_to(np.arange(n_out)[:, None], taps.shape)
    columns = np.clip(taps, 0, n_in - 1)
    filled = weights != 0
    # Several taps fall on the edge pixel: the constructor adds them up.
    return csr_array(
        (weights[filled].astype(np.float32), (rows[filled], columns[filled])),
        shape=(n_out, n_in),
    )


def _centred(weights: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Scale rows to sum 1 and to a centre of mass at offset 0.

    A widened kernel, sampled at pixels, would be up to a tenth of a pixel off centre,
    differently for each output pixel; objects would wobble. The correction is spread
    like the weights themselves.
    """
    weights = weights / weights.sum(axis=1, keepdims=True)
    spread = np.abs(weights)
    sums = [(spread * offsets**k).sum(axis=1) for k in range(3)]
    width = sums[2] - sums[1] ** 2 / sums[0]
    moved = (weights * offsets).sum(axis=1)
    # A pixel that is copied has no width, and is centred already.
    slope = np.where(width > 1e-9, -moved / np.maximum(width, 1e-9), 0)
    level = -slope * sums[1] / sums[0]
    return weights + spread * (level[:, None] + slope[:, None] * offsets)


def _keys_cubic(x: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -0.5 (Keys 1981, equation 15)."""
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1.0
    outer = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "linear": (lambda x: np.maximum(0.0, 1.0 - np.abs(x)), 1),
    "cubic": (_keys_cubic, 2),
}


def _check_steps(*steps: float) -> None:
    for step in steps:
        if not (math.isfinite(step) and step > 0):
            raise InputError(f"pixel size {step} cannot be used; give a positive one")
