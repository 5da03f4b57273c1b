"""Take the voxels of a run, and remember across runs what was given."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import PixelSums
from napari_sparsessp.prediction.blending import Blend, MemoryBlend
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.report import Report, Scaling
from napari_sparsessp.prediction.tiling import TileSize


class Writer:
    """Take the voxels of a prediction, and remember across runs what it was given.

    A slot is a place on the output's time axis, 0 where it has none. Every method may
    raise `OutputError`.
    """

    in_memory = False
    buffer: np.ndarray | None = None  # of the plan's output shape, if in memory

    def __init__(self) -> None:
        self.done = 0  # tiles of earlier runs and of this one
        self.report: Report | None = None  # once finished, where that outlives a run
        # Of each time point that is finished.
        self.scores: dict[int, dict[str, dict[str, Any]]] = {}
        self._scalings: dict[int, Scaling] = {}
        self._plan: Any = None

    @property
    def tile_size(self) -> Sequence[TileSize]:
        """Tiling of the run that is resumed, of each member; empty for a new one."""
        return () if self._plan is None else self._plan.tile_sizes

    def begin(self, plan: Plan, *, model: str, device: str, precision: str) -> None:
        """Make ready for a run with these weights (SHA-256); refuse a different one."""
        raise NotImplementedError

    def kept(self) -> int:
        """Count the tiles that a later run need not predict."""
        return self.done

    def scaling(self, slot: int) -> Scaling | None:
        """Return the scaling that an earlier run has used for a time point."""
        return self._scalings.get(slot)

    def note_scaling(self, slot: int, scaling: Scaling) -> None:
        """Remember the scaling of a time point."""
        self._scalings[slot] = scaling

    def blend(self, slot: int) -> Blend:
        """Return what blends the tiles of a time point, or what is left of them."""
        raise NotImplementedError

    def sums(self, slot: int) -> dict[str, PixelSums] | None:
        """Return running sums against the truth; None where tiles are not scored."""
        return None

    def output(self, slot: int) -> Any:
        """Return the finished voxels of a time point, array-like (C, D, H, W)."""
        raise NotImplementedError

    def member(self, number: int) -> "Writer":
        """Return the writer of a bundle's member, of its channels; always the same."""
        raise NotImplementedError


class ArrayWriter(Writer):
    """Keep a prediction in memory; given again, it resumes a run that was cancelled.

    It holds voxels, neither network nor input; the result is that of one run. A
    `buffer` that is given is float32 zeros of the plan's output shape.
    """

    in_memory = True

    def __init__(self, buffer: np.ndarray | None = None) -> None:
        super().__init__()
        self.buffer = buffer
        self.total = 0  # tiles; 0 before the first run
        self._blends: dict[int, MemoryBlend] = {}
        self._sums: dict[int, dict[str, PixelSums]] = {}
        self._work: Any = None
        self._members: dict[int, _ArrayMember] = {}

    def begin(self, plan: Plan, *, model: str, device: str, precision: str) -> None:
        """Raise InputError where request, model, image or buffer is a different one."""
        work = (plan.request, model, plan.volume.shape, plan.tiles, plan.channels)
        if self._work is not None and self._work != work:
            raise InputError(
                "the unfinished prediction is of another request, model or image; "
                "start over with a new one"
            )
        if self.buffer is None:
            self.buffer = np.zeros(plan.output_shape, np.float32)
        if self.buffer.shape != plan.output_shape or self.buffer.dtype != np.float32:
            raise InputError(
                f"the buffer is {self.buffer.dtype} {self.buffer.shape}; give float32 "
                f"zeros of shape {plan.output_shape}"
            )
        self._plan, self._work, self.total = plan, work, plan.total_tiles

    def blend(self, slot: int) -> Blend:
        """Return what blends into the array."""
        if slot not in self._blends:
            self._blends[slot] = MemoryBlend(self._plan, self.output(slot))
        return self._blends[slot]

    def sums(self, slot: int) -> dict[str, PixelSums] | None:
        """Return running sums; None where an output voxel is not of one tile."""
        flat = self._plan.card.z_projection != "none"
        several = flat and len(self._plan.layout.windows) > 1
        if several or self._plan.request.grid != "model":
            return None
        return self._sums.setdefault(slot, {})

    def output(self, slot: int) -> Any:
        """Return the voxels of a time point."""
        assert self.buffer is not None
        return self.buffer[slot] if self._plan.times else self.buffer

    def member(self, number: int) -> Writer:
        """Return the writer of a member into the array."""
        if number not in self._members:
            rows = self._plan.rows_of(self._plan.members[number])
            self._members[number] = _ArrayMember(self, rows)
        return self._members[number]


class _ArrayMember(ArrayWriter):
    """Keep the prediction of a bundle's member in the bundle's array."""

    def __init__(self, whole: ArrayWriter, rows: Sequence[int]) -> None:
        super().__init__(whole.buffer)
        self._whole, self._rows = whole, rows

    def begin(self, plan: Plan, *, model: str, device: str, precision: str) -> None:
        self._plan, self.total = plan, plan.total_tiles

    def output(self, slot: int) -> Any:
        return Rows(self._whole.output(slot), self._rows)


class Rows:
    """Some channels of an array (C, …), whichever they are; written through."""

    def __init__(self, array: Any, rows: Sequence[int]) -> None:
        self._array, self._rows = array, rows

    @property
    def shape(self) -> tuple[int, ...]:
        """As an array's."""
        return (len(self._rows), *self._array.shape[1:])

    def __len__(self) -> int:
        """Count the channels."""
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        first, *rest = index if isinstance(index, tuple) else (index,)
        if isinstance(first, slice):
            return Rows(self._array[(slice(None), *rest)], self._rows[first])
        return self._array[(self._rows[first], *rest)]

    def __setitem__(self, index: tuple[Any, ...], values: np.ndarray) -> None:
        row, *rest = index
        self._array[(self._rows[row], *rest)] = values
