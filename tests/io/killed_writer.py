"""A run in a process of its own, which a test kills: ``killed_writer.py MODEL OUT``."""

import sys

import numpy as np

from napari_sparsessp.io.streaming import PredictionWriter
from napari_sparsessp.models.library import load_model
from napari_sparsessp.prediction.engine import Finished, TileDone, predict_stream
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume


def main(model, out):
    """Two time points, two columns, two windows each; a line for each tile."""
    array = np.random.default_rng(7).normal(100, 20, (2, 12, 28, 12)).astype(np.float32)
    volume = Volume(array, "TZYX", (0.29,) * 3, name="stack")
    request = PredictionRequest(precision="fp32", device="cpu", tile=(8, 16, 16))
    with PredictionWriter(out, resume=True) as sink:
        for event in predict_stream(
            load_model(model), volume, request=request, writer=sink
        ):
            if isinstance(event, TileDone):
                print(event.done, event.total, flush=True)
            elif isinstance(event, Finished):
                print("finishing", flush=True)
                sink.finish(event.report.provenance())


if __name__ == "__main__":
    main(*sys.argv[1:])
