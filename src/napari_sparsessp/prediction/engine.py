"""The engine: tiles in, events out, voxels into a shared buffer."""

import threading
import time as clock
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sparsessp import __version__
from napari_sparsessp.errors import InputError
from napari_sparsessp.metrics import score
from napari_sparsessp.models.store import Model
from napari_sparsessp.prediction.canvas import Canvas
from napari_sparsessp.prediction.events import (
    Box,
    Cancelled,
    Event,
    Finished,
    Planned,
    Started,
    StructureDone,
    TileDone,
)
from napari_sparsessp.prediction.forward import Forward
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.report import (
    ModelId,
    Report,
    Scaling,
    Seconds,
    Shapes,
    mean_scores,
    peak_memory_mb,
)
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.result import PredictionResult, output_volume
from napari_sparsessp.prediction.stack import read_stack
from napari_sparsessp.prediction.truth import RunningScores, align_truth
from napari_sparsessp.prediction.viewport import next_tile
from napari_sparsessp.volume import Volume

if TYPE_CHECKING:
    from napari_sparsessp.prediction.tiling import Tile

Viewport = Callable[[], tuple[int | None, Box] | None]


def predict_stream(
    model: Model,
    volume: Volume,
    *,
    structures: Sequence[str] | str | None = None,
    ratio: float | None = None,
    request: PredictionRequest | None = None,
    truth: Mapping[str, Volume] | None = None,
    viewport: Viewport | None = None,
    cancel: threading.Event | None = None,
    buffer: np.ndarray | None = None,
) -> Iterator[Event]:
    """Predict, tile by tile, and tell after each.

    Parameters
    ----------
    model : Model
    volume : Volume
        Transmitted-light stack, up to TCZYX.
    structures : sequence of str or "all", optional
        Overrides the request's.
    ratio : float, optional
        Overrides the request's.
    request : PredictionRequest, optional
        Everything else; defaults where left out.
    truth : mapping, optional
        Structure id to its ground truth.
    viewport : callable, optional
        Gives (time index of the output or None, (z, y, x) slices in output voxels)
        of what is on screen, or None; asked before each tile.
    cancel : threading.Event, optional
        Once set, the run ends before the next tile.
    buffer : ndarray, optional
        float32 zeros of the plan's output shape to predict into.

    Yields
    ------
    Event
        `Planned`, `Started`, `TileDone` …, `StructureDone` …, then `Finished` or
        `Cancelled`.

    Raises
    ------
    InputError
        The request or the image cannot be used.
    PredictionError
        The device failed; says what to do.
    """
    request = request or PredictionRequest()
    changes: dict[str, Any] = {}
    if structures is not None:
        changes["structures"] = (
            "all"
            if structures == "all"
            else tuple([structures] if isinstance(structures, str) else structures)
        )
    if ratio is not None:
        changes["ratio"] = ratio
    request = _changed(request, changes)
    plan = plan_prediction(model.card, volume, request, truth)
    run = _Run(model, plan, viewport, cancel, _buffer(plan, buffer))
    return run.events()


def predict(
    model: Model,
    volume: Volume,
    *,
    structures: Sequence[str] | str | None = None,
    ratio: float | None = None,
    request: PredictionRequest | None = None,
    truth: Mapping[str, Volume] | None = None,
) -> PredictionResult:
    """Predict and wait for the whole. Parameters and errors as `predict_stream`.

    Returns
    -------
    PredictionResult
    """
    planned, report = None, None
    for event in predict_stream(
        model, volume, structures=structures, ratio=ratio, request=request, truth=truth
    ):
        if isinstance(event, Planned):
            planned = event
        elif isinstance(event, Finished):
            report = event.report
    assert planned is not None
    assert report is not None
    return PredictionResult(output_volume(planned), report)


def _changed(request: PredictionRequest, changes: dict[str, Any]) -> PredictionRequest:
    """Give the request with some fields replaced, checked like any other."""
    from pydantic import ValidationError

    try:
        return PredictionRequest.model_validate({**request.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{field} cannot be used: {first['msg']}; correct it"
        ) from error


def _buffer(plan: Plan, buffer: np.ndarray | None) -> np.ndarray:
    if buffer is None:
        return np.zeros(plan.output_shape, np.float32)
    if buffer.shape != plan.output_shape or buffer.dtype != np.float32:
        raise InputError(
            f"the buffer is {buffer.dtype} {buffer.shape}; give float32 zeros of shape "
            f"{plan.output_shape}"
        )
    return buffer


class _Run:
    """One run from the first event to the last."""

    def __init__(
        self,
        model: Model,
        plan: Plan,
        viewport: Viewport | None,
        cancel: threading.Event | None,
        buffer: np.ndarray,
    ) -> None:
        self.model = model
        self.plan = plan
        self.viewport = viewport or (lambda: None)
        self.cancel = cancel or threading.Event()
        self.buffer = buffer
        self.began = clock.perf_counter()
        self.forward = Forward(model, plan)
        self.done = 0
        self.loaded: float | None = None
        self.first_tile: float | None = None
        self.computing = 0.0
        self.scalings: dict[int, Scaling] = {}

    def events(self) -> Iterator[Event]:
        yield Planned(self.plan, self.buffer)
        if self.cancel.is_set():
            yield Cancelled(0, self.plan.total_tiles)
            return
        scores: dict[int, dict[str, dict[str, Any]]] = {}
        waiting = list(range(len(self.plan.times or (0,))))
        while waiting:
            seen = self.viewport()
            slot = seen[0] if seen and seen[0] in waiting else waiting[0]
            assert slot is not None
            waiting.remove(slot)
            yield from self._time_point(slot, scores)
            if self.cancel.is_set() and self.done < self.plan.total_tiles:
                yield Cancelled(self.done, self.plan.total_tiles)
                return
        yield Finished(self._report(scores))

    def _time_point(self, slot: int, scores: dict[int, Any]) -> Iterator[Event]:
        plan = self.plan
        time = plan.times[slot] if plan.times else None
        shown = slot if plan.times else None
        stack = read_stack(plan, time)
        scaling = stack.normalisation
        self.scalings[slot] = Scaling(mean=scaling.mean, std=scaling.std)
        truth = align_truth(plan, time)
        if self.loaded is None:
            self.loaded = clock.perf_counter() - self.began
            yield Started(str(self.forward.device), self.forward.precision)
        output = self.buffer[slot] if plan.times else self.buffer
        canvas = Canvas(plan, output)
        running = RunningScores(truth if canvas.scores_on_the_way else {})
        left = list(range(len(plan.tiles)))
        while left:
            if self.cancel.is_set():
                return
            index = next_tile(left, plan.tiles, self._visible(shown))
            left.remove(index)
            tile = plan.tiles[index]
            share = canvas.begin(tile)
            started = clock.perf_counter()
            for rows, prediction in self.forward.predict(stack, tile):
                names = tuple(plan.channels[row] for row in rows)
                canvas.blend(tile, share, prediction, rows)
                place, values = canvas.seen(tile, prediction)
                running.add(place, names, values)
                if not left and rows[-1] == len(plan.channels) - 1:
                    canvas.finish()
                self.computing += clock.perf_counter() - started
                self.done += 1
                if self.first_tile is None:
                    self.first_tile = clock.perf_counter() - self.began
                shown_now = tuple(name for name in names if name in plan.structures)
                yield self._tile_done(place, shown, shown_now, running.current())
                if self.cancel.is_set():
                    return
                started = clock.perf_counter()
        for structure in plan.structures:
            yield StructureDone(structure, shown)
        scores[slot] = {
            name: score(output[plan.structures.index(name)], one)
            for name, one in truth.items()
        }

    def _visible(self, shown: int | None) -> Box | None:
        """What is on screen, in voxels of the model's grid."""
        seen = self.viewport()
        if seen is None or seen[0] not in (None, shown):
            return None
        factors = [
            model / output
            for model, output in zip(
                self.plan.model_shape, self.plan.output_shape[-3:], strict=True
            )
        ]
        z, y, x = (
            slice(int(part.start * factor), int(np.ceil(part.stop * factor)))
            for part, factor in zip(seen[1], factors, strict=True)
        )
        return z, y, x

    def _tile_done(
        self,
        tile: "Tile",
        shown: int | None,
        structures: tuple[str, ...],
        scores: dict[str, Any],
    ) -> TileDone:
        plan = self.plan
        box: Box = tile.box
        if plan.request.grid == "input":
            z, y, x = (slice(0, extent) for extent in plan.output_shape[-3:])
            box = (z, y, x)
        left = plan.total_tiles - self.done
        return TileDone(
            done=self.done,
            total=plan.total_tiles,
            time=shown,
            box=box,
            structures=structures,
            seconds_left=self.computing / self.done * left,
            scores=scores,
        )

    def _report(self, scores: dict[int, dict[str, dict[str, Any]]]) -> Report:
        plan = self.plan
        per_time = [scores[slot] for slot in sorted(scores)]
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
            tiles=plan.total_tiles,
            normalisation=tuple(self.scalings[slot] for slot in sorted(self.scalings)),
            structures=mean_scores(per_time),
            warnings=plan.warnings,
        )
