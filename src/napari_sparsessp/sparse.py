"""Sparse views: the measured planes of a dense grid, and how they fill the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError

MAPPINGS = ("hold", "nearest", "linear")
"""Prefix mappings: how the measured planes are spread over the dense grid."""

# Positions are sums and products of steps such as 0.29 µm: differences below this many
# dense planes are rounding, not geometry.
_EPSILON = 1e-6

LARGEST_DEPTH = 100_000
"""Dense planes. More come from a step in another unit, not from a microscope."""


@dataclass(frozen=True)
class SparseView:
    """A stack as the measured planes of a dense grid.

    Examples
    --------
    >>> from napari_sparsessp import SparseView
    >>> view = SparseView.from_voxel_size(3, z_step=1.16, dense_step=0.29)
    >>> view.depth, view.measured_planes
    (12, (0, 4, 8))
    >>> view.weights("linear")[1].tolist()
    [0.75, 0.25, 0.0]

    Attributes
    ----------
    planes
        Indices of the input's planes that are used, ascending.
    positions
        Where each of them lies, in dense planes from dense plane 0; may be fractional.
    depth
        Planes D of the dense grid.
    ratio
        Dense planes for each measured plane: the sparsity ratio r. Below 1 where the
        stack is finer than the grid.
    """

    planes: tuple[int, ...]
    positions: tuple[float, ...]
    depth: int
    ratio: float

    def __post_init__(self) -> None:
        """Check that there is a position for each plane, ascending."""
        steps = np.diff(self.positions)
        if not self.planes or len(self.planes) != len(self.positions) or self.depth < 1:
            raise InputError("a sparse view needs at least one plane and its position")
        if (steps <= 0).any():
            raise InputError("positions of measured planes must ascend; sort them")

    @classmethod
    def from_ratio(cls, n_planes: int, ratio: float) -> SparseView:
        """Take all planes of a stack that is `ratio` times coarser than the grid."""
        return cls.from_voxel_size(n_planes, _checked_ratio(ratio), 1.0)

    @classmethod
    def from_voxel_size(
        cls, n_planes: int, z_step: float, dense_step: float
    ) -> SparseView:
        """Take all planes of a stack with a known step in z, both steps in µm.

        Plane 0 lies on dense plane 0; r = z_step / dense_step, D = round(n r), at
        least 1. A stack finer than the grid (r < 1) is allowed here.
        """
        for step in (z_step, dense_step):
            if not (math.isfinite(step) and step > 0):
                raise InputError(
                    f"z step {step} µm cannot be used; give a positive one"
                )
        ratio = float(z_step / dense_step)
        positions = tuple(ratio * plane for plane in range(n_planes))
        depth = max(1, _round_half_up(n_planes * ratio))
        return cls(tuple(range(n_planes)), positions, depth, ratio)

    @classmethod
    def from_heights(cls, heights: Sequence[float], dense_step: float) -> SparseView:
        """Take planes at any ascending heights, in µm as the dense grid's step."""
        offsets = np.subtract(heights, heights[0]) / dense_step
        ratio = float(np.median(np.diff(offsets)))
        positions = tuple(float(offset) for offset in offsets)
        depth = max(1, _round_half_up(positions[-1] + ratio))
        return cls(tuple(range(len(heights))), positions, depth, ratio)

    @classmethod
    def simulate(
        cls, n_planes: int, ratio: float, phase: int = 0, step: float = 1.0
    ) -> SparseView:
        """Keep every r-th plane of a dense stack, as if the rest were never imaged.

        With r a whole number, planes phase, phase + r, … are kept. `step` is the
        distance of input planes in dense planes; the view's ratio is ``r * step``.
        """
        ratio = _checked_ratio(ratio)
        if abs(ratio - round(ratio)) > _EPSILON:
            raise InputError(
                f"ratio {ratio:g} cannot be simulated from a dense stack; "
                "give a whole number"
            )
        every = round(ratio)
        if not 0 <= phase < min(every, n_planes):
            raise InputError(
                f"phase {phase} leaves no plane; give one from 0 to "
                f"{min(every, n_planes) - 1}"
            )
        planes = tuple(range(phase, n_planes, every))
        positions = tuple(float(plane * step) for plane in planes)
        depth = max(1, _round_half_up(n_planes * step))
        return cls(planes, positions, depth, every * float(step))

    @property
    def measured_planes(self) -> tuple[int, ...]:
        """Dense planes that were measured: positions rounded, each once, inside D."""
        rounded = (_round_half_up(position) for position in self.positions)
        last = self.depth - 1
        return tuple(sorted({min(max(plane, 0), last) for plane in rounded}))

    def weights(self, mapping: str) -> np.ndarray:
        """Return the matrix (D, n) that spreads measured planes over the dense grid.

        `hold` repeats the last measured plane at or below (the published code's
        "nearest"); `nearest` takes the closest, the lower one on a tie; `linear`
        interpolates between true positions. All clamp at the ends; rows sum to 1.
        """
        lower, upper, share = self._neighbours(mapping)
        matrix = np.zeros((self.depth, len(self.planes)), np.float32)
        rows = np.arange(self.depth)
        matrix[rows, lower] = 1 - share
        matrix[rows, upper] += share
        return matrix

    def distance(self) -> np.ndarray:
        """Return how far each dense plane lies above its nearest measured plane.

        float32 (D,) in dense planes, positive where the measured plane is below (at
        smaller z); of two equally near planes the lower counts.
        """
        nearest = self._neighbours("nearest")[0]
        grid = np.arange(self.depth, dtype=np.float64)
        return (grid - np.asarray(self.positions)[nearest]).astype(np.float32)

    def to_dense(self, planes: Any, mapping: str) -> np.ndarray:
        """Spread measured planes (n, …) over the dense grid (D, …); see `weights`."""
        measured = np.asarray(planes, dtype=np.float32)
        if len(measured) != len(self.planes):
            raise InputError(
                f"{len(measured)} planes were given where {len(self.planes)} are "
                "measured; give exactly those"
            )
        lower, upper, share = self._neighbours(mapping)
        dense = measured[lower]
        for plane in np.flatnonzero(share):
            low, high = measured[lower[plane]], measured[upper[plane]]
            dense[plane] = low + share[plane] * (high - low)
        return dense

    def _neighbours(self, mapping: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return, for each dense plane, two measured planes and the second's share."""
        if mapping not in MAPPINGS:
            raise InputError(
                f"mapping {mapping!r} does not exist; choose from {', '.join(MAPPINGS)}"
            )
        positions = np.asarray(self.positions, dtype=np.float64)
        grid = np.arange(self.depth, dtype=np.float64)
        last = len(positions) - 1
        below = np.searchsorted(positions, grid + _EPSILON, side="right") - 1
        lower = np.clip(below, 0, last)
        upper = np.clip(below + 1, 0, last)
        gap = np.where(upper > lower, positions[upper] - positions[lower], 1.0)
        share = np.clip((grid - positions[lower]) / gap, 0, 1)
        share[upper == lower] = 0
        share[share < _EPSILON] = 0
        if mapping == "hold":
            share = np.zeros_like(share)
        elif mapping == "nearest":
            # Compared in dense planes, not as a share: a tie has to be one however
            # wide the gap is.
            nearer = (share * gap) > (gap / 2 + _EPSILON)
            lower = np.where(nearer, upper, lower)
            share = np.zeros_like(share)
        return lower, upper, share.astype(np.float32)


def _round_half_up(value: float) -> int:
    """Round a depth to the nearest whole number; Python's own round sends 2.5 to 2."""
    if not value <= LARGEST_DEPTH:
        raise InputError(
            f"a stack of {value:.3g} dense planes cannot be meant; correct the voxel "
            "size or the ratio"
        )
    return math.floor(value + 0.5 + _EPSILON)


def _checked_ratio(ratio: float) -> float:
    if not math.isfinite(ratio) or ratio < 1:
        raise InputError(
            f"ratio {ratio} cannot be used; give a number of at least 1, "
            "where 1 means that every plane was imaged"
        )
    return float(ratio)
