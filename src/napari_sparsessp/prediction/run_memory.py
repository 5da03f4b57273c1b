"""A run into memory: tiles in any order, a result that can be shown at any moment."""

import threading
import time as clock
from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.canvas import Canvas
from napari_sparsessp.prediction.deviation import channel_scores
from napari_sparsessp.prediction.events import Event, StructureDone
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.progress import Progress, TimePoint
from napari_sparsessp.prediction.run import Part, Run, Viewport
from napari_sparsessp.prediction.stack import MeasuredStack
from napari_sparsessp.prediction.truth import RunningScores, align_truth
from napari_sparsessp.prediction.viewport import needed_for, next_tile

_REACH = 2
"""Voxels of the model's grid that resampling looks at on each side."""


class MemoryRun(Run):
    """Predict into a buffer, which the caller sees fill.

    Parameters
    ----------
    model, plan, viewport, cancel
        As `Run`.
    buffer : ndarray
        float32, zeros at first, of the plan's output shape.
    progress : Progress
        Keeps what is done, and what an earlier run has done.
    part : tuple, optional
        Predict no more than this part of the output needs.
    """

    def __init__(
        self,
        model: Model,
        plan: Plan,
        viewport: Viewport | None,
        cancel: threading.Event | None,
        buffer: np.ndarray,
        progress: Progress,
        part: Part | None = None,
    ) -> None:
        super().__init__(model, plan, viewport, cancel, buffer)
        self.progress = progress
        progress.buffer = buffer
        self.done = self.done_before = progress.done
        self.scalings, self.scores = progress.scalings, progress.scores
        self.part = part

    def _slots(self) -> list[int]:
        if self.part is None:
            return super()._slots()
        return [self.part[0] or 0]

    def _time_point(self, slot: int) -> Iterator[Event]:
        plan = self.plan
        if slot in self.scores:
            return
        stack = self._read(slot)
        truth = align_truth(plan, self._time(slot))
        yield from self._started()
        assert self.buffer is not None
        output = self.buffer[slot] if plan.times else self.buffer
        point = self.progress.points.setdefault(
            slot, TimePoint(Canvas(plan, output), list(range(len(plan.tiles))))
        )
        running = RunningScores(
            truth if point.canvas.scores_on_the_way else {}, point.sums
        )
        while not point.finished:
            if self.cancel.is_set() or not self._wanted(point) or self._elsewhere():
                return
            yield from self._tile(stack, point, running, self._shown(slot))
        for structure in plan.structures:
            yield StructureDone(structure, self._shown(slot))
        self.scores[slot] = {
            name: channel_scores(plan, output.__getitem__, name, one)
            for name, one in truth.items()
        }

    def _tile(
        self,
        stack: MeasuredStack,
        point: TimePoint,
        running: RunningScores,
        shown: int | None,
    ) -> Iterator[Event]:
        """Predict the next tile, or what is missing of the last one."""
        plan, canvas = self.plan, point.canvas
        index, share, blended = point.begun or self._next(point, shown)
        tile = plan.tiles[index]
        started = clock.perf_counter()
        for rows, prediction in self.forward.predict(stack, tile):
            if blended.issuperset(rows):
                continue
            if share is None:
                # Not before: a tile that fails must have no weight yet.
                share = canvas.begin(tile)
                point.left.remove(index)
            canvas.blend(tile, share, prediction, rows)
            place, values = canvas.seen(tile, prediction)
            running.add(place, tuple(plan.channels[row] for row in rows), values)
            blended.update(rows)
            whole = len(blended) == len(plan.channels)
            point.begun = None if whole else (index, share, blended)
            self.computing += clock.perf_counter() - started
            box = canvas.touched(tile)
            event = self._tile_done(box, shown, rows, running.current())
            self.progress.done = self.done
            yield event
            if self.cancel.is_set():
                return
            started = clock.perf_counter()

    def _next(self, point: TimePoint, shown: int | None) -> tuple[int, Any, set[int]]:
        """Choose a tile; nothing of it is blended yet."""
        wanted = self._wanted(point)
        index = next_tile(wanted, self.plan.tiles, self._visible(shown))
        return index, None, set()

    def _complete(self, slot: int) -> bool:
        return self.part is not None or slot in self.scores

    def _elsewhere(self) -> bool:
        """Whether the user looks at a time point that still waits."""
        seen = self.viewport()
        return seen is not None and seen[0] in self.waiting

    def _wanted(self, point: TimePoint) -> list[int]:
        """Tiles that are left of what was asked for; one that is begun is of it."""
        begun = [] if point.begun is None else [point.begun[0]]
        if self.part is None:
            return begun + point.left
        z, y, x = self._on_model_grid(self.part[1])
        if self.plan.request.grid == "input":  # pixels between those of the model
            y, x = (slice(one.start - _REACH, one.stop + _REACH) for one in (y, x))
        return begun + needed_for(point.left, self.plan.tiles, (z, y, x))
