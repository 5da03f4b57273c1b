"""An image that is blended together from columns as they come."""

from __future__ import annotations

import time as clock
from pathlib import Path
from typing import Any

import numpy as np

from napari_sparsessp.io.column_files import ColumnFiles
from napari_sparsessp.io.flat_array import FlatArray
from napari_sparsessp.io.ledger import Ledger
from napari_sparsessp.io.pyramid import blocks
from napari_sparsessp.prediction.canvas import flattened
from napari_sparsessp.prediction.column import Column, ColumnLayout
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.resampling import LateralResampling

SECONDS_BETWEEN_NOTES = 5.0
"""Within a column: more often, and waiting for the disk would slow the run."""

PLANES = 16
"""Planes that are blended at a time."""

_BLOCK = 2**24
"""Values that are projected or resampled at a time."""


class GrowingImage:
    """The way from columns to the finest level, noted in a ledger.

    Parameters
    ----------
    folder : Path
        Where columns lie, and the model's grid where the image is on another.
    plan : Plan
    layout : ColumnLayout
    ledger : Ledger
        Open; what it says is there already.
    image : array
        Of the plan's output shape; blocks of it can be written.
    planes : int
        How many planes are written together.
    """

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        layout: ColumnLayout,
        ledger: Ledger,
        image: Any,
        planes: int,
    ) -> None:
        self._plan, self._layout, self._ledger = plan, layout, ledger
        self._image, self._planes = image, planes
        self._how = plan.card.z_projection
        self._files = ColumnFiles(folder / "columns", layout, len(plan.channels))
        self._base = image
        if plan.request.grid == "input":
            shape = (*plan.output_shape[:-2], *plan.model_shape[1:])
            self._base = FlatArray(folder / "model_grid.f32", shape)
        # Without neighbours there is nothing to wait for.
        self._direct = len(layout.columns) == 1 and self._how == "none"
        self._written = {key: self._usable(*key) for key in ledger.planes}
        self._last_note = clock.monotonic()
        for slot, index in list(self._written):
            self._settle_around(slot, layout.columns[index])

    def planes_done(self, slot: int, column: int) -> int:
        """Count the planes of a column that are there."""
        return self._written.get((slot, column), 0)

    def write(self, slot: int, column: int, first: int, planes: np.ndarray) -> None:
        """Take planes (C, D, H, W) of a column, which follow those that are there."""
        stop = first + planes.shape[1]
        one = self._layout.columns[column]
        if self._direct:
            self._base[(*self._lead(slot), slice(None), slice(first, stop))] = planes
        else:
            self._files.write(slot, one, first, planes)
        self._written[slot, column] = stop
        if stop == self._layout.shape[0]:
            self.note()
            self._settle_around(slot, one)
        elif clock.monotonic() - self._last_note >= SECONDS_BETWEEN_NOTES:
            self.note()

    def note(self) -> None:
        """Write down which planes are there."""
        for (slot, column), planes in self._written.items():
            if self._ledger.planes.get((slot, column), 0) != planes:
                if not self._direct:
                    self._files.sync(slot, self._layout.columns[column])
                self._ledger.note_planes(slot, column, planes)
        self._last_note = clock.monotonic()

    def complete(self) -> Any:
        """Give the image, once all columns are there."""
        if self._base is not self._image:
            self._resample()
        return self._image

    def _usable(self, slot: int, index: int) -> int:
        """Planes of a column that the ledger and the disk agree on."""
        noted = self._ledger.planes[slot, index]
        column = self._layout.columns[index]
        around = self._layout.touched(column)
        if self._direct or all((slot, k.index) in self._ledger.settled for k in around):
            return noted
        return noted if self._files.planes(slot, column) >= noted else 0

    def _settle_around(self, slot: int, column: Column) -> None:
        """Blend all cores that waited for this column, and forget who is not needed."""
        if self._direct:
            return
        settled = self._ledger.settled
        for one in self._layout.touched(column):
            if (slot, one.index) not in settled and all(
                self.planes_done(slot, other.index) == self._layout.shape[0]
                for other in self._layout.touching(one)
            ):
                self._settle(slot, one)
                self._ledger.note_settled(slot, one.index)
        around = {
            other.index: other
            for one in self._layout.touched(column)
            for other in self._layout.touching(one)
        }
        for one in around.values():
            if all((slot, k.index) in settled for k in self._layout.touched(one)):
                self._files.remove(slot, one)

    def _settle(self, slot: int, column: Column) -> None:
        """Write a column's core: the sum of what it and its neighbours say."""
        top, bottom = column.core[0]
        across = slice(*column.core[1])
        depth = self._layout.shape[0]
        flat = self._how != "none"
        planes = depth if flat else self._planes
        rows = bottom - top
        if flat:
            rows = max(1, min(rows, _BLOCK // (depth * (across.stop - across.start))))
        for channel in range(len(self._plan.channels)):
            for z, y in blocks((depth, bottom - top), (planes, rows)):
                area = slice(top + y.start, top + y.stop)
                block = self._blended(slot, column, channel, z, area)
                if flat:
                    block, z = flattened(block, self._how), slice(0, 1)
                self._base[(*self._lead(slot), channel, z, area, across)] = block

    def _blended(
        self, slot: int, column: Column, channel: int, z: slice, rows: slice
    ) -> np.ndarray:
        def read(one: Column, y: slice, x: slice) -> np.ndarray:
            return self._files.read(slot, one, channel, z, (y, x))

        size = (z.stop - z.start,)
        return self._layout.blended(column, (rows.start, rows.stop), read, size)

    def _resample(self) -> None:
        """Bring the model's grid onto the input's pixels, block by block."""
        plan, image = self._plan, self._image
        height, width = plan.output_shape[-2:]
        lateral = LateralResampling(
            plan.model_shape[1:], plan.model_pixel, plan.input_pixel, (height, width)
        )
        sizes = getattr(image, "chunks", None) or (
            *(1,) * (len(image.shape) - 2),
            max(1, _BLOCK // width),
            width,
        )
        for block in blocks(image.shape, sizes):
            *lead, rows, columns = block
            source = lateral.source(rows, columns)
            pixels = np.asarray(self._base[(*lead, *source)])
            result = np.empty([part.stop - part.start for part in block], np.float32)
            for index in np.ndindex(*pixels.shape[:-2]):
                result[index] = lateral.region(pixels[index], rows, columns)
            image[block] = result

    def _lead(self, slot: int) -> tuple[int, ...]:
        return (slot,) if self._plan.times else ()
