"""Truth and prediction in one picture: a border to drag, or fields in turns."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Pattern(Protocol):
    """Says where the truth is shown."""

    def truth(self, height: int, width: int) -> np.ndarray:
        """Give (height, width) bool."""


@dataclass(frozen=True)
class Swipe:
    """Truth on the left of a border, prediction on the right.

    Attributes
    ----------
    share : float
        Where the border is, from 0 to 1 of the width.
    """

    share: float = 0.5

    def truth(self, height: int, width: int) -> np.ndarray:
        """Give the left part."""
        left = np.arange(width) < round(self.share * width)
        return np.broadcast_to(left, (height, width))


@dataclass(frozen=True)
class Checkerboard:
    """Truth on the dark fields of a checkerboard.

    Attributes
    ----------
    field : float
        Side of a field in pixels, at least 1.
    """

    field: float = 64

    def truth(self, height: int, width: int) -> np.ndarray:
        """Give every other field, the first one included."""
        side = max(self.field, 1)
        rows = (np.arange(height) // side).astype(int)[:, None]
        return (rows + (np.arange(width) // side).astype(int)) % 2 == 0


class Composed:
    """A stack that is taken from two others, plane by plane as it is looked at.

    It serves napari as an array: a border is dragged without a voxel being copied.

    Parameters
    ----------
    truth, prediction : ndarray
        (D, H, W), both in standard deviations of the truth.
    pattern : Pattern
        May be changed at any time.
    """

    ndim = 3
    dtype = np.dtype(np.float32)

    def __init__(self, truth: Any, prediction: Any, pattern: Pattern) -> None:
        self._truth, self._prediction = truth, prediction
        self.pattern = pattern
        self.shape = tuple(int(n) for n in prediction.shape)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        mask = np.broadcast_to(self.pattern.truth(*self.shape[1:]), self.shape)
        found = np.asarray(self._prediction[key], np.float32)
        return np.where(mask[key], self._truth[key], found)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)
