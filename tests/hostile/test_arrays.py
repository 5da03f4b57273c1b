"""Arrays of every kind in memory give what the plain stack gives."""

import numpy as np
import pytest

from hostile.conftest import same
from hostile.desk import STACK
from images import STEP
from napari_sparsessp import PredictionRequest, Volume, load_model, predict


def _mapped(folder):
    np.save(folder / "stack.npy", STACK)
    return np.load(folder / "stack.npy", mmap_mode="r")


def _read_only(folder):
    array = STACK.copy()
    array.flags.writeable = False
    return array


def _dask(folder):
    return pytest.importorskip("dask.array").from_array(STACK, chunks=(3, 7, 24))


def _unaligned(folder):
    raw = np.zeros(STACK.nbytes + 1, np.uint8)
    array = raw[1:].view(STACK.dtype).reshape(STACK.shape)
    array[...] = STACK
    return array


ARRAYS = {
    "memory-mapped": _mapped,
    "read-only": _read_only,
    "dask": _dask,
    "unaligned": _unaligned,
    "negative strides": lambda _: STACK[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "Fortran order": lambda _: np.asfortranarray(STACK),
    "every second of a larger one": lambda _: np.repeat(STACK, 2, 2)[..., ::2],
    "big-endian": lambda _: STACK.astype(">i4"),
    "int64": lambda _: STACK.astype(np.int64),
    "float16": lambda _: STACK.astype(np.float16),
    "long double": lambda _: STACK.astype(np.longdouble),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_the_kind_of_array_does_not_matter(kind, tmp_path, model_file, expected):
    request = PredictionRequest(ratio=1, device="cpu", precision="fp32")
    volume = Volume(ARRAYS[kind](tmp_path), "ZYX", (STEP, STEP, STEP))
    found = predict(load_model(model_file), volume, request=request).volume.numpy()
    wanted = expected(STACK)
    if kind == "float16":  # counts above 2048 are rounded to even ones
        assert np.abs(found - wanted).max() < 0.05 * wanted.std()
    else:
        assert same(found, wanted)
