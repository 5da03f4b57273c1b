"""Stacks that are read by region, as those that are larger than memory."""

import dask.array as da

from napari_sparsessp.prediction.input_stack import read_stack
from napari_sparsessp.prediction.plan import plan_prediction
from napari_sparsessp.prediction.request import PredictionRequest

FP32 = PredictionRequest(precision="fp32", device="cpu")
VOXEL = (0.58, 0.4, 0.25)


def both_ways(model, volume, small_share, share, **request):
    """The plan, and the same stack once in memory and once read by region."""
    plan = plan_prediction(
        model.card, volume, FP32.model_copy(update={"tile": (8, 24, 24), **request})
    )
    time_point = 0 if "T" in volume.axes else None
    small_share(2**30)
    whole = read_stack(plan, time_point)
    small_share(share)
    lazy = read_stack(plan, time_point)
    assert lazy.pixels.source is not None
    return plan, whole, lazy


def counting(array, chunks):
    """A lazy array that counts how often each of its chunks is decoded."""
    counts = {}

    def load(block_info=None):
        place = block_info[None]["array-location"]
        key = tuple(start for start, _ in place)
        counts[key] = counts.get(key, 0) + 1
        return array[tuple(slice(*span) for span in place)]

    lengths = da.core.normalize_chunks(chunks, array.shape)
    lazy = da.map_blocks(load, chunks=lengths, dtype=array.dtype, meta=array[:0])
    counts.clear()
    return lazy, counts


def columns(tiles):
    return sorted(tiles, key=lambda tile: (tile.read_y, tile.read_x, tile.z))
