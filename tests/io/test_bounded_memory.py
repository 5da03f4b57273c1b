"""Memory does not grow with the stack, in y and x or in time.

Into an OME-Zarr; an OME-TIFF is written plane by plane, so that it takes planes.
"""

import tracemalloc

import numpy as np
import pytest
import zarr

from napari_sparsessp.io import ome
from napari_sparsessp.io.streaming import PredictionWriter
from napari_sparsessp.prediction import inference, input_stack, normalisation
from napari_sparsessp.prediction.engine import predict_stream
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume

SIDE, TILE = 192, 64  # the same cores in all stacks, some with a whole halo
SHARE = 200_000
"""Bytes for the input, as if memory were scarce: less than the smallest stack has."""


def _stack(path, shape):
    """A stack on disk, of which nothing is in memory."""
    array = zarr.create_array(
        path, shape=shape, chunks=(*(1,) * (len(shape) - 2), SIDE, SIDE), dtype="uint16"
    )
    chance = np.random.default_rng(1)
    for index in np.ndindex(*shape[:-2]):
        array[index] = chance.integers(0, 999, shape[-2:], np.uint16)
    return Volume(array, "TZYX"[-len(shape) :], (0.29,) * 3, name="stack")


def _peak(model, volume, path):
    """Most bytes of numpy and Python during a run, from store to store."""
    request = PredictionRequest(
        structures=("dna",),
        precision="fp32",
        device="cpu",
        tile=(8, TILE, TILE),
    )
    tracemalloc.start()
    try:
        with PredictionWriter(path, overwrite=True) as sink:
            *_, last = predict_stream(model, volume, request=request, writer=sink)
            sink.finish(last.report.provenance())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _predict(self, seen, tile):
    """Look at the input of a tile, and say something of the right size at once."""
    dense, _ = seen.window(tile)
    size = [part.stop - part.start for part in tile.box]
    yield [0], np.full((1, *size), float(dense.mean()), np.float32)


@pytest.mark.slow  # every allocation is counted: about 10 s
@pytest.mark.parametrize(
    ("name", "times", "wider"),
    [("out.ome.zarr", 1, 2), ("out.ome.zarr", 4, 1)],
)
def test_four_times_the_stack_takes_no_more_memory(
    model, tmp_path, monkeypatch, name, times, wider
):
    monkeypatch.setattr(input_stack, "_share", lambda plan: SHARE)
    # What is bounded anyway is made as small as this stack.
    monkeypatch.setattr(input_stack, "AT_ONCE", SHARE)
    monkeypatch.setattr(normalisation, "SAMPLE", 10_000)
    monkeypatch.setattr(inference.Inference, "predict", _predict)
    monkeypatch.setattr(ome, "_VALUES_LOOKED_AT", 10_000)
    peaks = []
    for called, t, side in (
        ("first", 2, TILE),  # what is imported on the way counts for nothing
        # Two time points may overlap: the end of one, the beginning of the next.
        ("small", min(times, 2), SIDE),
        ("large", times, wider * SIDE),
    ):
        volume = _stack(tmp_path / called, (t, 12, side, side))
        peaks.append(_peak(model, volume, tmp_path / name))
    output = 4 * times * 12 * (wider * SIDE) ** 2
    more = peaks[2] - peaks[1]
    if more >= output / 10:
        # Where threads wait for a busy machine more may lie between them than needed.
        more = _peak(model, volume, tmp_path / name) - peaks[1]
    assert more < output / 10, f"{more} bytes more for {output} of output"
