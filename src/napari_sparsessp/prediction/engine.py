"""The engine: plan, read, predict tile by tile, blend, write, score, report.

A run is a generator of small events. Voxels go through a `Writer`: an `ArrayWriter`
keeps them in memory, where a viewer can watch them, and one of `napari_sparsessp.io`
streams them into a file. Whatever the writer, the same tiles are blended in the same
way; a writer that has seen a run stop resumes it.
"""

import threading
import time as clock
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from napari_sparsessp.models.card import made_for
from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.blending import Blend
from napari_sparsessp.prediction.bundle_run import BundleRun
from napari_sparsessp.prediction.device import wake_device
from napari_sparsessp.prediction.domain_shift import check
from napari_sparsessp.prediction.events import (
    Event,
    Finished,
    Looking,
    PartDone,
    Planned,
    PredictionCancelled,
    Started,
    StructureDone,
    TileDone,
)
from napari_sparsessp.prediction.inference import Inference
from napari_sparsessp.prediction.input_stack import InputStack, read_stack
from napari_sparsessp.prediction.normalisation import BlankImage, Normalisation
from napari_sparsessp.prediction.plan import Plan, fit_to_machine, plan_prediction
from napari_sparsessp.prediction.report import (
    ModelId,
    PredictionResult,
    Report,
    Scaling,
    Seconds,
    Shapes,
    mean_scores,
    peak_memory_mb,
    planned_memory,
    scaling_notes,
)
from napari_sparsessp.prediction.request import PredictionRequest, changed
from napari_sparsessp.prediction.scoring import Scorer
from napari_sparsessp.prediction.tiling import (
    Part,
    Tile,
    Viewport,
    needed_for,
    next_tile,
)
from napari_sparsessp.prediction.writer import ArrayWriter, Writer
from napari_sparsessp.tasks import Cancelled, cancellable, no_progress
from napari_sparsessp.version import __version__
from napari_sparsessp.volume import Volume


def predict_stream(
    model: Model,
    volume: Volume,
    *,
    structures: Sequence[str] | str | None = None,
    ratio: float | None = None,
    request: PredictionRequest | None = None,
    truth: Mapping[str, Volume] | None = None,
    plan: Plan | None = None,
    writer: Writer | None = None,
    viewport: Viewport | None = None,
    cancel: threading.Event | None = None,
    part: Part | None = None,
) -> Iterator[Event]:
    """Predict tile by tile, with an event after each; errors as in `predict`.

    Parameters
    ----------
    plan
        Result of `plan_prediction` for all of these, which are not checked again.
    writer
        Takes the voxels; a new `ArrayWriter` where left out. The writer of a run that
        was cancelled resumes that run.
    viewport
        Returns (time index of the output or None, (z, y, x) slices in output voxels)
        of what is on screen, or None; asked before each tile, nearest tiles go first.
    cancel
        Once set, the run ends before the next tile.
    part
        Time index and (z, y, x) slices of the output: only the tiles that this part
        needs are predicted, as a prediction of the whole predicts them; with the same
        `ArrayWriter`, a call without a part predicts the rest.

    Examples
    --------
    >>> from napari_sparsessp import load_model, load_volume, predict_stream
    >>> from napari_sparsessp.io.samples import sample_paths
    >>> model, volume = load_model("default"), load_volume(sample_paths()[0])
    >>> for event in predict_stream(model, volume, structures=["dna"]):
    ...     print(type(event).__name__)
    Planned
    Started
    TileDone
    StructureDone
    Finished
    """
    writer = writer or ArrayWriter()
    stored, size = not writer.in_memory, writer.tile_size
    request = changed(request or PredictionRequest(), structures, ratio)
    wake_device(request.device if plan is None else plan.request.device)
    if plan is None:
        plan = plan_prediction(
            model.card, volume, request, truth, stored=stored, tile_size=size
        )
    else:
        plan = fit_to_machine(plan, stored=stored, tile_size=size)
    if plan.members:
        bundle = BundleRun(_Run, model, plan, writer, viewport, cancel, part)
        return bundle.events()
    return _Run(model, plan, writer, viewport, cancel, part).events()


def predict(
    model: Model,
    volume: Volume,
    *,
    structures: Sequence[str] | str | None = None,
    ratio: float | None = None,
    request: PredictionRequest | None = None,
    truth: Mapping[str, Volume] | None = None,
) -> PredictionResult:
    """Predict a stack and wait for the whole of it.

    Parameters
    ----------
    volume
        Transmitted-light stack, up to TCZYX.
    structures, ratio, request
        The first two override the request's; defaults where left out.
    truth
        Structure id to its ground truth.

    Raises
    ------
    InputError
        The request or the image cannot be used.
    PredictionError
        The device failed; says what to do.

    Examples
    --------
    >>> from napari_sparsessp import load_model, load_volume, predict
    >>> from napari_sparsessp.io.samples import sample_paths
    >>> volume = load_volume(sample_paths()[0])
    >>> result = predict(load_model("default"), volume, structures=["dna"])
    >>> result["dna"].shape, result["dna"].voxel_size
    ((32, 144, 144), (0.29, 0.29, 0.29))
    """
    events = predict_stream(
        model, volume, structures=structures, ratio=ratio, request=request, truth=truth
    )
    planned, *_, finished = events
    assert isinstance(planned, Planned)
    assert isinstance(finished, Finished)
    return PredictionResult(output_volume(planned), finished.report)


def output_volume(planned: Planned) -> Volume:
    """Return the buffer of a run as a volume with its place in space."""
    plan = planned.plan
    return Volume(
        planned.buffer,
        plan.output_axes,
        plan.voxel_size,
        plan.channels,
        plan.origin,
        name=plan.volume.name,
        source=plan.volume.source,
        placed=plan.volume.placed,
    )


class _Run:
    """One run from the first event to the last."""

    def __init__(
        self,
        model: Model,
        plan: Plan,
        writer: Writer,
        viewport: Viewport | None,
        cancel: threading.Event | None,
        part: Part | None,
    ) -> None:
        self.model, self.plan, self.writer, self.part = model, plan, writer, part
        self.viewport = viewport or (lambda: None)
        self.progress = cancellable(no_progress, cancel)
        self.began = clock.perf_counter()
        self.inference = Inference(model, plan)
        device, precision = self.inference.device.type, self.inference.precision
        try:
            writer.begin(plan, model=model.sha256, device=device, precision=precision)
        except BaseException:
            self.inference.close()
            raise
        self.done_before = writer.done
        room = None
        if not writer.in_memory:
            room = plan.memory.limit - plan.memory.planned
        self.scorer = Scorer(
            plan.truth,
            plan.grid,
            plan.channels,
            room,
            in_iqrs=plan.card.units == "iqr",
        )
        self.waiting: list[int] = []
        self.stack: InputStack | None = None
        self.looked: dict[int, Any] = {}  # sums over unfinished time points
        self.loaded: float | None = None
        self.first_tile: float | None = None
        self.computing = 0.0
        self.unfamiliar: tuple[str, ...] = ()

    def events(self) -> Iterator[Event]:
        """Predict one time point after the other, what is on screen first."""
        plan, writer, total = self.plan, self.writer, self.plan.total_tiles
        try:
            yield Planned(plan, writer.buffer)
            slots = range(len(plan.times or (0,)))
            self.waiting = [self.part[0] or 0] if self.part else list(slots)
            self.progress(writer.done, total)
            while self.waiting:
                seen = self.viewport()
                slot = seen[0] if seen and seen[0] in self.waiting else self.waiting[0]
                assert slot is not None
                self.waiting.remove(slot)
                yield from self._time_point(slot)
                if self.part is None and slot not in writer.scores:
                    self.waiting.insert(0, slot)  # another time point is on screen now
            if writer.done < total:
                yield PartDone(writer.done, total)
            else:
                yield Finished(self._report())
        except Cancelled:
            yield PredictionCancelled(writer.kept(), total)
        finally:
            self._close()
            self.inference.close()

    def _time_point(self, slot: int) -> Iterator[Event]:
        plan, writer = self.plan, self.writer
        if slot in writer.scores:
            return
        time = plan.times[slot] if plan.times else None
        shown = slot if plan.times else None
        blend = writer.blend(slot)
        self.scorer.start(time, writer.sums(slot))
        stack = None
        if not blend.finished:
            stack = self._read(slot, time)
            if self.loaded is None:
                padded = stack is not None and stack.normalisation.padding > 0
                self.unfamiliar = check(plan, padded=padded)
                self.loaded = clock.perf_counter() - self.began
                device, precision = self.inference.device, self.inference.precision
                yield Started(str(device), precision, self.unfamiliar, self.done_before)
            if stack is not None:
                yield from self._look(stack, slot)
        while not blend.finished:
            wanted = blend.choices()
            if self.part is not None and not blend.begun:
                box = plan.on_model_grid(self.part[1])
                wanted = needed_for(wanted, plan.tiles, box)
            seen = self.viewport()
            elsewhere = writer.in_memory and seen and seen[0] in self.waiting
            if not wanted or elsewhere:
                return
            self.progress(writer.done, plan.total_tiles)
            visible = None
            if seen is not None and seen[0] in (None, shown):
                visible = plan.on_model_grid(seen[1])
            index = next_tile(wanted, plan.tiles, visible)
            rest = blend.choices(after=index)
            if stack is not None:
                stack.following = None
                if rest:
                    following = next_tile(rest, plan.tiles, visible)
                    stack.following = plan.tiles[following]
            yield from self._tile(stack, blend, index, shown)
        self._close()
        self.looked.pop(slot, None)
        blend.finish()
        for structure in plan.structures:
            yield StructureDone(structure, shown)
        scale = writer.scaling(slot)
        blank = scale is not None and not scale.std
        writer.scores[slot] = {} if blank else self.scorer.final(writer.output(slot))

    def _look(self, stack: InputStack, slot: int) -> Iterator[Looking]:
        """Look at the whole of a time point, where the network needs it, and once."""
        for look in self.inference.look(stack, self.looked.get(slot)):
            self.progress(look.done, look.total, "looking at the whole stack")
            self.looked[slot] = look.sums
            yield Looking(look.done, look.total)

    def _tile(
        self, stack: InputStack | None, blend: Blend, index: int, shown: int | None
    ) -> Iterator[Event]:
        """Predict a tile, or what is missing of its passes; NaN without a stack."""
        plan, tile, writer = self.plan, self.plan.tiles[index], self.writer
        there = blend.begun[1] if blend.begun else set()
        repeated = blend.repeated(index)
        started = clock.perf_counter()
        passes = self.inference.predict(stack, tile) if stack else self._blank(tile)
        for rows, prediction in passes:
            if there.issuperset(rows):
                continue
            box = blend.add(index, rows, prediction)
            if self.scorer.counts_tiles:
                place, values = blend.projected(tile, prediction)
                self.scorer.add(place, rows, values)
            self.computing += clock.perf_counter() - started
            if not repeated:
                writer.done += 1
                self.first_tile = self.first_tile or clock.perf_counter() - self.began
                each = self.computing / (writer.done - self.done_before)
                names = plan.channels[: len(plan.structures)]
                yield TileDone(
                    done=writer.done,
                    total=plan.total_tiles,
                    time=shown,
                    box=box,
                    structures=tuple(names[row] for row in rows if row < len(names)),
                    seconds_left=each * (plan.total_tiles - writer.done),
                    scores=self.scorer.current(),
                )
            if blend.begun:
                self.progress(writer.done, plan.total_tiles)
            started = clock.perf_counter()

    def _read(self, slot: int, time: int | None) -> InputStack | None:
        """Open a time point; None for a blank one of several, which is left so."""
        noted = self.writer.scaling(slot)
        if noted is not None and not noted.std:
            return None
        known = None
        if noted is not None:
            known = Normalisation(noted.mean, noted.std, padding=noted.padding)
        try:
            self.stack = stack = read_stack(self.plan, time, self.progress, known)
        except BlankImage:
            if len(self.plan.times or ()) < 2:
                raise
            planes = tuple(self.plan.view.planes)
            self.writer.note_scaling(slot, Scaling(mean=0, std=0, left_out=planes))
            return None
        if noted is None:
            scale = stack.normalisation
            scaling = Scaling(
                mean=scale.mean,
                std=scale.std,
                left_out=stack.left_out,
                padding=scale.padding,
            )
            self.writer.note_scaling(slot, scaling)
        return stack

    def _blank(self, tile: Tile) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield NaN for a tile of a blank time point, in the passes of the others."""
        count, names = len(self.plan.structures), len(self.plan.channels)
        groups = [range(names)]
        if self.plan.passes > 1:
            groups = [range(row, names, count) for row in range(count)]
        for group in groups:
            size = [side.stop - side.start for side in tile.box]
            yield [*group], np.full((len(group), *size), np.nan, np.float32)

    def _close(self) -> None:
        """Release the input, and the thread that may read it."""
        if self.stack is not None:
            self.stack.close()
        self.stack = None

    def _report(self) -> Report:
        plan, writer = self.plan, self.writer
        slots = range(len(plan.times or (0,)))
        scalings = [scale for scale in map(writer.scaling, slots) if scale is not None]
        scaled = scaling_notes(scalings, plan.times)
        notes = [*self.scorer.notes, *self.inference.notes, *scaled]
        return Report(
            package=__version__,
            model=ModelId(id=self.model.card.id, sha256=self.model.sha256),
            made_for=made_for(plan.card),
            input=plan.request.input or plan.volume.source or plan.volume.name,
            request=plan.request,
            ratio=plan.view.ratio,
            measured_planes=plan.view.measured_planes,
            shape=Shapes(input=plan.volume.shape[-3:], output=plan.output_shape[-4:]),
            voxel_size=plan.voxel_size,
            origin=plan.origin,
            device=str(self.inference.device),
            precision=self.inference.precision,
            seconds=Seconds(
                load=round(self.loaded or 0.0, 4),
                first_tile=round(self.first_tile or 0.0, 4),
                total=round(clock.perf_counter() - self.began, 4),
            ),
            peak_memory_mb=round(peak_memory_mb(), 1),
            memory=planned_memory(plan.memory),
            tiles=plan.total_tiles,
            normalisation=tuple(scalings),
            units=plan.card.units,
            structures=mean_scores([writer.scores[slot] for slot in slots]),
            unfamiliar=self.unfamiliar,
            warnings=(*plan.warnings, *self.unfamiliar, *notes),
        )
