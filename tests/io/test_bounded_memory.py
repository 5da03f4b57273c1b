"""Memory does not grow with the stack: neither in y and x nor in time."""

import tracemalloc

import numpy as np
import pytest
import zarr

from napari_sparsessp.io.output_sink import OutputSink
from napari_sparsessp.models.store import load_model
from napari_sparsessp.prediction.engine import predict_stream
from napari_sparsessp.prediction.request import PredictionRequest
from napari_sparsessp.volume import Volume
from thin import save_thin

SIDE, TILE = 64, 32


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(save_thin(tmp_path_factory.mktemp("thin") / "thin.safetensors"))


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
        structures=("dna",), precision="fp32", device="cpu", tile=(8, TILE, TILE)
    )
    tracemalloc.start()
    try:
        with OutputSink(path, overwrite=True) as sink:
            *_, last = predict_stream(model, volume, request=request, sink=sink)
            sink.finish(last.report.provenance())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["out.ome.zarr", "out.ome.tif"])
def test_four_times_the_stack_takes_no_more_memory(model, tmp_path, monkeypatch, name):
    from napari_sparsessp.prediction import stack

    # As if memory were scarce: otherwise a stack this small is read at once.
    monkeypatch.setattr(stack, "_fits", lambda plan, volume: False)
    _peak(model, _stack(tmp_path / "first", (8, SIDE, SIDE)), tmp_path / name)
    small = _peak(model, _stack(tmp_path / "one", (8, SIDE, SIDE)), tmp_path / name)
    for called, shape in (
        ("wide", (8, 2 * SIDE, 2 * SIDE)),
        ("long", (4, 8, SIDE, SIDE)),
    ):
        volume = _stack(tmp_path / called, shape)
        more = _peak(model, volume, tmp_path / name) - small
        output = 4 * np.prod(shape)
        assert more < output / 4, f"{more} bytes more for {output} of output"
