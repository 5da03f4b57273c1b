"""The worker thread of a prediction.

What runs here must not touch the viewer, a layer or a widget. It fills the shared
buffer and yields small events; torch and the engine are imported here and nowhere else.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from superqt.utils import GeneratorWorker

from napari_sparsessp.errors import PredictionError
from napari_sparsessp.prediction.engine import Event, Finished, PartDone, TileDone
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.structures import deviation_channel
from napari_sparsessp.ui.layers.contrast import ContrastEstimate, Scale, truth_scale
from napari_sparsessp.ui.layers.viewport import Viewport
from napari_sparsessp.volume import Volume


@dataclass(frozen=True, eq=False)
class Job:
    """All that a worker may know, frozen in the interface's thread.

    Attributes
    ----------
    request : PredictionRequest
    volume : Volume
        One channel; lazy.
    truth : dict
        Structure id to `Volume`.
    channels : tuple of str
        In the order of the buffer's channel axis.
    buffer : ndarray
        float32, shape ((T,) C, D, H, W); shared with the layers.
    viewport : callable
        Gives (time, box) in output voxels, or None.
    cancel : threading.Event
    contrast : ContrastEstimate
        Lives on in a run that goes on where this one was stopped.
    progress
        The engine's writer, which keeps what is done for that.
    part : tuple, optional
        (time, box) in output voxels; no more than this is asked for.
    plan : Plan, optional
        Of the request, made when Run was pressed.
    """

    request: PredictionRequest
    volume: Volume
    truth: dict[str, Volume]
    channels: tuple[str, ...]
    buffer: np.ndarray
    viewport: Callable[[], Viewport | None]
    cancel: threading.Event
    contrast: ContrastEstimate
    progress: Any = None
    part: Viewport | None = None
    plan: Any = None


@dataclass(frozen=True)
class ContrastEstimated:
    """Better contrast limits are known.

    Attributes
    ----------
    limits : dict
        Channel to (low, high).
    complete : bool
        Whether they come from all tiles.
    """

    limits: dict[str, tuple[float, float]]
    complete: bool


@dataclass(frozen=True)
class TruthScaled:
    """Brightness of the truths is known.

    Attributes
    ----------
    scales : dict
        Structure id to (mean, standard deviation).
    """

    scales: dict[str, Scale]


@dataclass(frozen=True)
class Failed:
    """The run ended with an error; nothing follows."""

    error: Exception


class StreamingEngine(Protocol):
    """What the worker needs of an engine."""

    def stream(self, job: Job) -> Iterator[Event]:
        """Predict and yield events."""
        ...


def stream(engine: StreamingEngine, job: Job) -> Iterator[Any]:
    """Run a job: the engine's events, with contrast estimates among them.

    Parameters
    ----------
    engine : StreamingEngine
    job : Job

    Yields
    ------
    Event, ContrastEstimated or TruthScaled
    """
    contrast = job.contrast
    seen = dict.fromkeys(job.channels, 0)
    scales = None
    for event in engine.stream(job):
        if isinstance(event, TileDone):
            both = [*event.structures, *map(deviation_channel, event.structures)]
            changed = [id_ for id_ in both if id_ in seen]
            contrast.add(_tile(job.buffer, event), changed)
            for id_ in changed:
                seen[id_] += 1
            # after a channel's 1st, 2nd, 4th, 8th… tile
            due = [id_ for id_ in changed if seen[id_] & (seen[id_] - 1) == 0]
            if scales is None and job.truth:
                scales = {id_: truth_scale(one) for id_, one in job.truth.items()}
                yield TruthScaled(scales)
            if due:
                limits = contrast.limits(complete=False, structures=due)
                yield ContrastEstimated(limits, False)
        elif isinstance(event, Finished | PartDone):
            yield ContrastEstimated(contrast.limits(complete=True), True)
        yield event


def _tile(buffer: np.ndarray, event: TileDone) -> np.ndarray:
    block = buffer if event.time is None else buffer[event.time]
    return block[(slice(None), *event.box)]


class StreamWorker(GeneratorWorker):
    """A generator worker that always ends, tells its errors and lets go of its memory.

    superqt takes a RuntimeError (every out-of-memory of torch is one) for a deleted
    Qt object and says nothing, not even ``finished``; and an aborted generator stays
    suspended with all its arrays for as long as the window lives. Errors are yielded
    as `Failed`, not emitted as ``errored``: a slot that napari 0.9 connects to that
    signal fails itself under PySide6.
    """

    def work(self) -> None:
        """Run the generator, tell how it failed if it did, and close it."""
        try:
            result = super().work()
            if isinstance(result, RuntimeError):
                raise PredictionError(_advice(result)) from result
        except Exception as error:
            self.yielded.emit(Failed(error))
        finally:
            self._gen.close()


def _advice(error: RuntimeError) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "out of memory" in text.lower():
        return (
            "the device ran out of memory; choose the CPU, fewer structures or a "
            f"smaller image ({text[:120]})"
        )
    return f"the prediction failed: {text[:300]}; try the CPU, or copy the details"
