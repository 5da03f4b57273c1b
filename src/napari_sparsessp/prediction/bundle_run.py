"""Run a bundle: one member after the other, into one output, as a single run.

Each member is predicted as it would be alone, so that its numbers are the same to the
bit, and let go before the next is loaded, so that memory is that of the largest.
"""

import threading
import time as clock
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, Protocol

from napari_sparsessp.models.card import made_for
from napari_sparsessp.models.library import Bundle, Model
from napari_sparsessp.prediction.device import choose_device, choose_precision
from napari_sparsessp.prediction.domain_shift import check
from napari_sparsessp.prediction.events import (
    Event,
    Finished,
    PartDone,
    Planned,
    PredictionCancelled,
    Started,
    TileDone,
)
from napari_sparsessp.prediction.plan import Plan, merge_notes
from napari_sparsessp.prediction.report import (
    MemberId,
    ModelId,
    Report,
    Seconds,
    Shapes,
    peak_memory_mb,
    planned_memory,
)
from napari_sparsessp.prediction.tiling import Part, Viewport
from napari_sparsessp.prediction.writer import Writer


class SingleRun(Protocol):
    """The run of a single network."""

    def events(self) -> Iterator[Event]:
        """Predict, with an event after each tile."""


class BundleRun:
    """One run of a bundle from the first event to the last."""

    def __init__(
        self,
        run: Callable[..., SingleRun],
        model: Model,
        plan: Plan,
        writer: Writer,
        viewport: Viewport | None,
        cancel: threading.Event | None,
        part: Part | None,
    ) -> None:
        assert isinstance(model, Bundle)
        self._run, self._model, self._plan, self._writer = run, model, plan, writer
        self._how = (viewport, cancel, part)
        self._cancel = cancel or threading.Event()
        self._began = clock.perf_counter()
        device = choose_device(plan.request.device)
        precision = choose_precision(plan.request.precision, device)
        writer.begin(plan, model=model.sha256, device=device.type, precision=precision)
        self._writers = [writer.member(k) for k in range(len(plan.members))]
        self._before = [one.done for one in self._writers]
        self._started = False
        self._scores: dict[str, Any] = {}
        self._seconds = Seconds(load=0, first_tile=0, total=0)

    def events(self) -> Iterator[Event]:
        """Predict member by member."""
        plan, writer, total = self._plan, self._writer, self._plan.total_tiles
        self._count()
        yield Planned(plan, writer.buffer)
        for number, one in enumerate(self._writers):
            if one.report is not None:  # finished before this run was stopped
                continue
            if self._cancel.is_set():
                yield PredictionCancelled(writer.kept(), total)
                return
            for event in self._events_of(number):
                if isinstance(event, PredictionCancelled):
                    self._count()
                    yield PredictionCancelled(writer.kept(), total)
                    return
                yield event
        self._count()
        if all(one.report is not None for one in self._writers):
            yield Finished(self._report())
        else:
            yield PartDone(writer.done, total)

    def _events_of(self, number: int) -> Iterator[Event]:
        """Run a member; its network is gone when this ends."""
        plan, writer = self._plan.members[number], self._writers[number]
        model = self._model.member(plan.card.id)
        run = self._run(model, plan, writer, *self._how)
        del model
        with closing(run.events()) as events:  # type: ignore[type-var]
            for event in events:
                self._count()
                if isinstance(event, Started) and not self._started:
                    yield self._start(event, writer)
                elif isinstance(event, TileDone):
                    yield self._tile(event, number)
                elif isinstance(event, Finished):
                    writer.report = event.report
                elif not isinstance(event, Planned | Started | PartDone):
                    yield event

    def _count(self) -> None:
        """Count the tiles that are done of all members."""
        self._writer.done = sum(one.done for one in self._writers)

    def _start(self, event: Started, writer: Writer) -> Started:
        """Announce the whole run."""
        self._started = True
        load = clock.perf_counter() - self._began
        self._seconds = self._seconds.model_copy(update={"load": load})
        return replace(event, warnings=self._unlike(writer), done=sum(self._before))

    def _unlike(self, writer: Writer) -> tuple[str, ...]:
        """Describe in what the image is unlike what the members know."""
        slots = range(len(self._plan.times or (0,)))
        scalings = [writer.scaling(slot) for slot in slots]
        padded = any(scale is not None and scale.padding > 0 for scale in scalings)
        return check(self._plan, padded=padded)

    def _tile(self, event: TileDone, number: int) -> TileDone:
        if not self._seconds.first_tile:
            first = clock.perf_counter() - self._began
            self._seconds = self._seconds.model_copy(update={"first_tile": first})
        self._scores |= event.scores
        return replace(
            event,
            done=self._writer.done,
            total=self._plan.total_tiles,
            seconds_left=event.seconds_left + self._later(number),
            scores=dict(self._scores),
        )

    def _later(self, number: int) -> float:
        """Estimate the seconds for the members after this, at the pace so far."""
        spent, after = 0.0, 0.0
        for k, (plan, one) in enumerate(
            zip(self._plan.members, self._writers, strict=True)
        ):
            voxels = plan.voxels / plan.total_tiles
            spent += voxels * (one.done - self._before[k])
            after += voxels * (plan.total_tiles - one.done) * (k > number)
        return after * (clock.perf_counter() - self._began) / spent

    def _report(self) -> Report:
        """Join the members' reports."""
        plan = self._plan
        reports = [one.report for one in self._writers if one.report is not None]
        both = list(zip(plan.members, reports, strict=True))
        scores = {k: v for report in reports for k, v in report.structures.items()}
        unfamiliar = self._unlike(self._writers[0])
        more = []
        for part, report in both:
            known = {*part.warnings, *report.unfamiliar}
            more.append((part.card, [w for w in report.warnings if w not in known]))
        total = clock.perf_counter() - self._began
        seconds = Seconds(
            load=round(self._seconds.load, 4),
            first_tile=round(self._seconds.first_tile, 4),
            total=round(total, 4),
        )
        return reports[0].model_copy(
            update={
                "model": ModelId(id=plan.card.id, sha256=self._model.sha256),
                "members": tuple(
                    MemberId(**dict(report.model), structures=part.structures)
                    for part, report in both
                ),
                "made_for": made_for(plan.card),
                "request": plan.request,
                "shape": Shapes(
                    input=plan.volume.shape[-3:], output=plan.output_shape[-4:]
                ),
                "seconds": seconds,
                "peak_memory_mb": round(peak_memory_mb(), 1),
                "memory": planned_memory(plan.memory),
                "tiles": plan.total_tiles,
                "structures": {k: scores[k] for k in plan.structures if k in scores},
                "unfamiliar": unfamiliar,
                "warnings": (
                    *(*plan.warnings, *unfamiliar),
                    *merge_notes(more, plan.card),
                ),
            }
        )
