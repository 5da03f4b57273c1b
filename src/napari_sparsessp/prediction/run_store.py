"""A run into a sink: column after column, nothing of the output's size in memory."""

import threading
import time as clock
from collections.abc import Iterator
from dataclasses import replace

from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.column import Column, ColumnLayout, RollingBlend
from napari_sparsessp.prediction.events import Box, Event, StructureDone
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.run import Run, Viewport
from napari_sparsessp.prediction.sink import Sink
from napari_sparsessp.prediction.stack import MeasuredStack
from napari_sparsessp.prediction.store_scores import check_stored_truth, score_stored
from napari_sparsessp.prediction.tiling import Tile
from napari_sparsessp.prediction.viewport import next_tile


class StoreRun(Run):
    """Predict into a sink, and go on where an earlier run into it has stopped.

    Parameters
    ----------
    model, plan, viewport, cancel
        As `Run`.
    sink : Sink
    """

    def __init__(
        self,
        model: Model,
        plan: Plan,
        viewport: Viewport | None,
        cancel: threading.Event | None,
        sink: Sink,
    ) -> None:
        super().__init__(model, plan, viewport, cancel, None)
        self.sink = sink
        self.layout = ColumnLayout(plan.tiles, plan.model_shape)

    def _begin(self) -> None:
        plan, sink = self.plan, self.sink
        sink.begin(
            plan,
            self.layout,
            model=self.model.sha256,
            device=self.forward.device.type,
            precision=self.forward.precision,
        )
        for slot in range(len(plan.times or (0,))):
            scaling = sink.scaling(slot)
            if scaling is not None:
                self.scalings[slot] = scaling
            for column in self.layout.columns:
                planes = sink.planes_done(slot, column.index)
                self.done += plan.passes * column.windows_done(planes)
        self.done_before = self.done

    def _time_point(self, slot: int) -> Iterator[Event]:
        plan, shown = self.plan, self._shown(slot)
        depth = plan.model_shape[0]
        left = [
            column.index
            for column in self.layout.columns
            if self.sink.planes_done(slot, column.index) < depth
        ]
        if left:
            check_stored_truth(plan, self._time(slot))
            stack = self._read(slot)
            self.sink.note_scaling(slot, self.scalings[slot])
            yield from self._started()
            through = [
                replace(one.tiles[0], core=((0, depth), *one.core))
                for one in self.layout.columns
            ]
        while left:
            if self.cancel.is_set():
                return
            index = next_tile(left, through, self._visible(shown))
            left.remove(index)
            yield from self._column(stack, slot, self.layout.columns[index])
        for structure in plan.structures:
            yield StructureDone(structure, shown)

    def _column(
        self, stack: MeasuredStack, slot: int, column: Column
    ) -> Iterator[Event]:
        """Predict the windows of a column that are missing, the lowest first."""
        plan = self.plan
        before = self.sink.planes_done(slot, column.index)
        known = column.windows_done(before)
        rolling = RollingBlend(self.layout, column, len(plan.channels), before)
        for window in range(column.first_window(before), len(column.tiles)):
            if self.cancel.is_set():
                return
            tile = column.tiles[window]
            groups = []
            started = clock.perf_counter()
            for rows, prediction in self.forward.predict(stack, tile):
                rolling.add(tile, rows, prediction)
                groups.append(rows)
                if self.cancel.is_set() and len(groups) < plan.passes:
                    return
            for first, planes in rolling.final(window):
                self.sink.write(slot, column.index, first, planes)
            self.computing += clock.perf_counter() - started
            if window < known:
                continue  # only for what it adds to the windows after it
            for rows in groups:
                yield self._tile_done(self._box(tile), self._shown(slot), rows, {})

    def _box(self, tile: Tile) -> Box:
        """What of the output a tile is about; all of it where it is resampled later."""
        depth, height, width = self.plan.output_shape[-3:]
        z, y, x = tile.box
        if depth < self.plan.model_shape[0]:
            z = slice(0, depth)
        if self.plan.request.grid == "input":
            y, x = slice(0, height), slice(0, width)
        return z, y, x

    def _end(self) -> None:
        stored = self.sink.complete()
        self.scores, notes = score_stored(self.plan, stored)
        self.notes += notes
