"""What every run has, wherever its voxels go: its network, its clock and its report."""

import threading
import time as clock
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_sparsessp import __version__
from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.events import (
    Box,
    Event,
    Finished,
    PartDone,
    Planned,
    PredictionCancelled,
    Started,
    TileDone,
)
from napari_sparsessp.prediction.familiarity import unfamiliar
from napari_sparsessp.prediction.normalisation import Normalisation, left_out_note
from napari_sparsessp.prediction.plan import Plan
from napari_sparsessp.prediction.report import (
    ModelId,
    Report,
    Scaling,
    Seconds,
    Shapes,
    mean_scores,
    peak_memory_mb,
    planned_memory,
)
from napari_sparsessp.prediction.splitting import Sturdy
from napari_sparsessp.prediction.stack import Interrupted, MeasuredStack, read_stack

Part = tuple[int | None, Box]
"""Time index of the output, None without a time axis, and (z, y, x) output voxels."""

Viewport = Callable[[], Part | None]


class Run:
    """One run from the first event to the last; `_time_point` says how.

    Parameters
    ----------
    model : Model
    plan : Plan
    viewport : callable, optional
    cancel : threading.Event, optional
    buffer : ndarray or None
        Where the voxels appear; None where a sink takes them.
    """

    def __init__(
        self,
        model: Model,
        plan: Plan,
        viewport: Viewport | None,
        cancel: threading.Event | None,
        buffer: np.ndarray | None,
    ) -> None:
        self.model = model
        self.plan = plan
        self.viewport = viewport or (lambda: None)
        self.cancel = cancel or threading.Event()
        self.buffer = buffer
        self.began = clock.perf_counter()
        self.forward = Sturdy(model, plan)
        self.done = 0
        self.done_before = 0
        self.loaded: float | None = None
        self.first_tile: float | None = None
        self.computing = 0.0
        self.scalings: dict[int, Scaling] = {}
        self.scores: dict[int, dict[str, dict[str, Any]]] = {}
        self.notes: list[str] = []
        self.unfamiliar: tuple[str, ...] = ()
        self.waiting: list[int] = []
        self._stack: MeasuredStack | None = None

    def events(self) -> Iterator[Event]:
        """Tell what happens, from `Planned` on; frees the device however it ends."""
        try:
            yield from self._events()
        finally:
            self.forward.close()

    def _events(self) -> Iterator[Event]:
        """Predict one time point after the other, what is on screen first."""
        yield Planned(self.plan, self.buffer)
        if self.cancel.is_set():
            yield PredictionCancelled(self.done, self.plan.total_tiles)
            return
        self._begin()
        self.waiting = waiting = self._slots()
        while waiting:
            seen = self.viewport()
            slot = seen[0] if seen and seen[0] in waiting else waiting[0]
            assert slot is not None
            waiting.remove(slot)
            try:
                yield from self._time_point(slot)
            except Interrupted:
                pass  # cancelled while it was read
            finally:
                self._close()
            if not self.cancel.is_set() and not self._complete(slot):
                waiting.insert(0, slot)  # the user looks at another one now
            if self.cancel.is_set() and self.done < self.plan.total_tiles:
                yield PredictionCancelled(self.done, self.plan.total_tiles)
                return
        if self.done < self.plan.total_tiles:
            yield PartDone(self.done, self.plan.total_tiles)
            return
        self._end()
        yield Finished(self._report())

    def _slots(self) -> list[int]:
        """Time points to predict, as indices of the output."""
        return list(range(len(self.plan.times or (0,))))

    def _complete(self, slot: int) -> bool:
        """Whether nothing of a time point is left that was asked for."""
        return True

    def _begin(self) -> None:
        """Prepare what is needed before the first time point."""

    def _end(self) -> None:
        """Do what is left when the last time point is done."""

    def _time_point(self, slot: int) -> Iterator[Event]:
        raise NotImplementedError

    def _time(self, slot: int) -> int | None:
        """Index on the input's time axis."""
        return self.plan.times[slot] if self.plan.times else None

    def _shown(self, slot: int) -> int | None:
        """Index on the output's time axis."""
        return slot if self.plan.times else None

    def _read(self, slot: int) -> MeasuredStack:
        found = self.scalings.get(slot)
        known = None if found is None else Normalisation(found.mean, found.std)
        stack = read_stack(self.plan, self._time(slot), self.cancel.is_set, known)
        scaling = stack.normalisation
        if known is None:
            self.scalings[slot] = Scaling(
                mean=scaling.mean, std=scaling.std, left_out=stack.left_out
            )
        self._stack = stack
        return stack

    def _close(self) -> None:
        """Let go of the input, and of the thread that may read it."""
        if self._stack is not None:
            self._stack.close()
        self._stack = None

    def _started(self) -> Iterator[Started]:
        """Tell once that the network has what it needs."""
        if self.loaded is None:
            self.unfamiliar = unfamiliar(self.plan)
            self.loaded = clock.perf_counter() - self.began
            yield Started(
                str(self.forward.device),
                self.forward.precision,
                self.unfamiliar,
                self.done_before,
            )

    def _visible(self, shown: int | None) -> Box | None:
        """What is on screen, in voxels of the model's grid."""
        seen = self.viewport()
        if seen is None or seen[0] not in (None, shown):
            return None
        return self._on_model_grid(seen[1])

    def _on_model_grid(self, box: Box) -> Box:
        """Give a box of output voxels in voxels of the model's grid."""
        factors = [
            model / output
            for model, output in zip(
                self.plan.model_shape, self.plan.output_shape[-3:], strict=True
            )
        ]
        z, y, x = (
            slice(int(part.start * factor), int(np.ceil(part.stop * factor)))
            for part, factor in zip(box, factors, strict=True)
        )
        return z, y, x

    def _tile_done(
        self,
        box: Box,
        shown: int | None,
        rows: list[int],
        scores: dict[str, Any],
    ) -> TileDone:
        """Count a tile, and tell."""
        plan = self.plan
        self.done += 1
        if self.first_tile is None:
            self.first_tile = clock.perf_counter() - self.began
        own = self.done - self.done_before
        return TileDone(
            done=self.done,
            total=plan.total_tiles,
            time=shown,
            box=box,
            structures=tuple(
                plan.structures[row] for row in rows if row < len(plan.structures)
            ),
            seconds_left=self.computing / own * (plan.total_tiles - self.done),
            scores=scores,
        )

    def _report(self) -> Report:
        plan = self.plan
        left_out = left_out_note(
            {self._time(slot): one.left_out for slot, one in self.scalings.items()}
        )
        notes = [*self.notes, *self.forward.notes, *([left_out] if left_out else [])]
        per_time = [self.scores[slot] for slot in sorted(self.scores)]
        return Report(
            package=__version__,
            model=ModelId(id=self.model.card.id, sha256=self.model.sha256),
            input=plan.request.input or plan.volume.source or plan.volume.name,
            request=plan.request,
            ratio=plan.view.ratio,
            measured_planes=plan.view.measured_planes,
            shape=Shapes(input=plan.volume.shape[-3:], output=plan.output_shape[-4:]),
            voxel_size=plan.voxel_size,
            origin=plan.origin,
            device=str(self.forward.device),
            precision=self.forward.precision,
            seconds=Seconds(
                load=round(self.loaded or 0.0, 4),
                first_tile=round(self.first_tile or 0.0, 4),
                total=round(clock.perf_counter() - self.began, 4),
            ),
            peak_memory_mb=round(peak_memory_mb(), 1),
            memory=planned_memory(plan.memory),
            tiles=plan.total_tiles,
            normalisation=tuple(self.scalings[slot] for slot in sorted(self.scalings)),
            structures=mean_scores(per_time),
            unfamiliar=self.unfamiliar,
            warnings=(*plan.warnings, *self.unfamiliar, *notes),
        )
