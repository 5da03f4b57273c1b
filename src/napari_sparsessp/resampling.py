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
    """Return how many pixels of `step_out` cover `n` pixels of `step_in`.

    Returns
    -------
    The nearest whole number (halves up), at least 1.
    """
    return max(1, math.floor(n * step_in / step_out + 0.5 + 1e-9))


def resampled_origin(
    origin: Sequence[float], step_in: Sequence[float], step_out: Sequence[float]
) -> tuple[float, ...]:
    """Return the centre of output voxel 0 such that the outer edges coincide.

    Parameters
    ----------
    origin
        Centre of input voxel 0 in µm, one for each axis.
    step_in, step_out
        Voxel size of input and output in µm, one for each axis.

    Returns
    -------
    Centre of output voxel 0 in µm.
    """
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
    """Resample the last two axes.

    Parameters
    ----------
    array
        Shape (..., H, W); may be lazy, is read plane by plane.
    step_in, step_out
        (y, x) pixel size of input and output, in the same unit.
    size
        (y, x) pixels of the output; by default `resampled_size` of each axis.
    method
        Cubic is Keys' kernel (a = -0.5): sharper, may overshoot at edges.

    Returns
    -------
    float32, shape (..., *size). Equal to the input where steps and size are.

    Raises
    ------
    InputError
        When a step is not a positive number.
    """
    *leading, height, width = array.shape
    lateral = LateralResampling((height, width), step_in, step_out, size, method=method)
    result = np.empty((*leading, *lateral.size), np.float32)
    for index in np.ndindex(*leading):
        result[index] = lateral(np.asarray(array[index], dtype=np.float32))
    return result


class LateralResampling:
    """Resampling of planes from a pixel grid to another, whole or in regions.

    A region has the same numbers as in the whole.

    Parameters
    ----------
    shape
        (y, x) pixels of the input.
    step_in, step_out, size, method
        As `resample_yx` takes them.

    Raises
    ------
    InputError
        When a step is not a positive number.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        step_in: tuple[float, float],
        step_out: tuple[float, float],
        size: tuple[int, int] | None = None,
        *,
        method: Method = "linear",
    ) -> None:
        _check_steps(*step_in, *step_out)
        axes = list(zip(shape, step_in, step_out, strict=True))
        if size is None:
            y, x = (resampled_size(*axis) for axis in axes)
            size = y, x
        self.shape, self.size = shape, size
        self._taps = [
            _axis_taps(n, a, (b - a) / 2, b, m, method)
            for (n, a, b), m in zip(axes, size, strict=True)
        ]
        self._resample = _plane_resampler(self._taps)

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """Resample a whole plane, (H, W) float32."""
        return self._resample(plane)

    def source(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the pixels of the input that a region of the output depends on.

        Parameters
        ----------
        rows, columns
            In y and x of the output; inside it, and not empty.
        """
        spans = [
            _span(taps, part)
            for taps, part in zip(self._taps, (rows, columns), strict=True)
        ]
        return spans[0], spans[1]

    def part(self, rows: slice, columns: slice) -> Callable[[np.ndarray], np.ndarray]:
        """Return a function that resamples a region of any plane.

        Parameters
        ----------
        rows, columns
            As `source` takes them.

        Returns
        -------
        It takes the pixels of `source`, float32 (h, w), and returns float32,
        bit-identical to this part of the whole.
        """
        source = self.source(rows, columns)
        parts = zip(self._taps, (rows, columns), source, strict=True)
        return _plane_resampler(
            [None if taps is None else taps[out][:, span] for taps, out, span in parts]
        )

    def region(self, pixels: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """Resample a region of a plane; see `part`."""
        return self.part(rows, columns)(pixels)

    def reached(self, rows: slice, columns: slice) -> tuple[slice, slice]:
        """Return the region of the output that depends on some pixels of the input.

        Parameters
        ----------
        rows, columns
            In y and x of the input.
        """
        y, x = (
            _reached(taps, part, n)
            for taps, part, n in zip(
                self._taps, (rows, columns), self.size, strict=True
            )
        )
        return y, x


def _reached(taps: Any | None, part: slice, count: int) -> slice:
    """Output pixels from the first to the last in which some input counts."""
    if taps is None:
        return part
    used = taps.tocsc()[:, part].indices
    if not used.size:
        return slice(0, 0)
    return slice(int(used.min()), int(used.max()) + 1)


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
    """Resample a stack onto another grid in the same space.

    Parameters
    ----------
    array
        Shape (D, H, W); may be lazy, each plane that counts is read once.
    voxel_in, voxel_out
        (z, y, x) voxel size of input and output in µm.
    origin_in, origin_out
        (z, y, x) centre of voxel (0, 0, 0) of input and output in µm.
    size
        (z, y, x) voxels of the output.
    method
        See `resample_yx`.

    Returns
    -------
    float32, shape `size`. Outside the input its edge voxels count: ask
    `grid_coverage` first where that matters.

    Raises
    ------
    InputError
        When a step is not a positive number.
    """
    _check_steps(*voxel_in, *voxel_out)
    taps = [
        _axis_taps(n, a, o_out - o_in, b, m, method)
        for n, a, o_in, b, o_out, m in zip(
            array.shape, voxel_in, origin_in, voxel_out, origin_out, size, strict=True
        )
    ]
    along_z, resample = taps[0], _plane_resampler(taps[1:])
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
    """Give, for each axis, the share of the output's extent that the input covers.

    Parameters
    ----------
    size_in, voxel_in, origin_in
        Voxels, voxel size in µm and centre of voxel 0 in µm of the input.
    size_out, voxel_out, origin_out
        The same of the output.

    Returns
    -------
    0 (apart) to 1 (covered), outer edge to outer edge.
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


def _plane_resampler(taps: list[Any | None]) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that resamples a (H, W) plane along y, then x."""
    along_y, along_x = taps

    def resample(plane: np.ndarray) -> np.ndarray:
        if along_y is not None:
            plane = along_y @ plane
        if along_x is not None:
            plane = (along_x @ plane.T).T
        return plane

    return resample


def _triangle(x: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _keys_cubic(x: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -0.5 (Keys 1981, equation 15)."""
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1.0
    outer = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "linear": (_triangle, 1),
    "cubic": (_keys_cubic, 2),
}


def _check_steps(*steps: float) -> None:
    for step in steps:
        if not (math.isfinite(step) and step > 0):
            raise InputError(f"pixel size {step} cannot be used; give a positive one")
