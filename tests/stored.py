"""Predictions that go to disk while they are made, of a small stack."""

import threading
from pathlib import Path

import numpy as np

from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.streaming import PredictionWriter
from napari_sparsessp.prediction.engine import Finished, TileDone, predict_stream
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

FP32 = PredictionRequest(precision="fp32", device="cpu")
CUT = {"tile": (8, 16, 16)}
BOTH = ("out.ome.zarr", "out.ome.tif")


def a_volume(shape=(12, 36, 36), axes="ZYX", voxel=(0.29,) * 3, **more):
    array = np.random.default_rng(7).normal(100, 20, shape).astype(np.float32)
    return Volume(array, axes, voxel, name="stack", **more)


def a_request(**changes):
    return FP32.model_copy(update=changes)


def store(model, volume, path, request=FP32, cancel_after=None, **how):
    """Predict into a file; give the events."""
    cancel, events = threading.Event(), []
    truth = how.pop("truth", None)
    viewport = how.pop("viewport", None)
    with PredictionWriter(path, **how) as sink:
        for event in predict_stream(
            model,
            volume,
            request=request,
            writer=sink,
            cancel=cancel,
            truth=truth,
            viewport=viewport,
        ):
            events.append(event)
            if isinstance(event, TileDone) and event.done == cancel_after:
                cancel.set()
        if isinstance(events[-1], Finished):
            sink.finish(events[-1].report.provenance())
    return events


def voxels(path):
    return load_volume(path).numpy()


def names_in(folder):
    return sorted(path.name for path in Path(folder).iterdir())
