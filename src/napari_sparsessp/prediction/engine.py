"""The engine: tiles in, events out, voxels into a shared buffer or into a sink."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from napari_sparsessp.errors import InputError
from napari_sparsessp.models.library import Model
from napari_sparsessp.prediction.device import wake_device
from napari_sparsessp.prediction.events import Event, Finished, Planned
from napari_sparsessp.prediction.plan import Plan, plan_prediction
from napari_sparsessp.prediction.progress import Progress
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.prediction.result import PredictionResult, output_volume
from napari_sparsessp.prediction.run import Part, Viewport
from napari_sparsessp.prediction.run_memory import MemoryRun
from napari_sparsessp.prediction.run_store import StoreRun
from napari_sparsessp.prediction.sink import Sink
from napari_sparsessp.volume import Volume


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
    progress: Progress | None = None,
    sink: Sink | None = None,
    part: Part | None = None,
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
    progress : Progress, optional
        Keeps what a cancelled or failed run has done; the same call with the same one
        goes on from there, with the result of a run that nobody stopped.
    sink : Sink, optional
        Takes the voxels column by column, so that nothing of the output's size is in
        memory; goes on by itself where an earlier run into it was stopped. Leave
        `buffer`, `progress` and `part` out.
    part : (int or None, tuple of slice), optional
        Time index and (z, y, x) slices of the output: only the tiles that this part
        needs are predicted. What they give is what a prediction of the whole gives
        there; with `progress` the same call without a part predicts the rest.

    Yields
    ------
    Event
        `Planned`, `Started`, `TileDone` …, `StructureDone` …, then `Finished`,
        `PredictionCancelled` or, where a part was asked for and more is left,
        `PartDone`.

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
    wake_device(request.device)
    if sink is not None:
        plan = plan_prediction(
            model.card, volume, request, truth, stored=True, tile_size=sink.tile_size
        )
        return StoreRun(model, plan, viewport, cancel, sink).events()
    progress = progress or Progress()
    plan = plan_prediction(
        model.card, volume, request, truth, tile_size=progress.tile_size
    )
    found = progress.check(plan, model.sha256, buffer)
    found = _buffer(plan, found)
    run = MemoryRun(model, plan, viewport, cancel, found, progress, part)
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
