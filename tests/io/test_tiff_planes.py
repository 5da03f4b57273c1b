"""OME-TIFFs are read plane by plane, by tifffile alone."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
import tifffile

from napari_sparsessp.io import tiff_reading
from napari_sparsessp.io.reading import load_volume

ARRAY = np.random.default_rng(1).integers(0, 999, (3, 2, 5, 32, 48), np.uint16)


@pytest.fixture(params=[None, "zlib"])
def path(request, tmp_path):
    path = tmp_path / "stack.ome.tif"
    meta = {"axes": "TCZYX", "TimeIncrement": 5, "TimeIncrementUnit": "min"}
    tifffile.imwrite(path, ARRAY, ome=True, metadata=meta, compression=request.param)
    return path


@pytest.mark.parametrize("small", [0, 2**25])
def test_planes_have_their_values_however_they_are_read(path, small, monkeypatch):
    monkeypatch.setattr(tiff_reading, "_SMALL", small)
    volume = load_volume(path)
    assert isinstance(volume.array, np.ndarray) == (small > 0)
    assert volume.time_step == 300
    np.testing.assert_array_equal(volume.numpy(), ARRAY)
    part = volume.time(2).channel(1)
    read = part.region([4, 0], slice(3, 9), slice(40, 48))
    np.testing.assert_array_equal(read, ARRAY[2, 1, [4, 0], 3:9, 40:])
    with ThreadPoolExecutor(4) as pool:
        planes = list(pool.map(lambda k: part.planes([k % 5])[0], range(20)))
    np.testing.assert_array_equal(planes, ARRAY[2, 1, np.arange(20) % 5])
    held = [file.path for file in psutil.Process().open_files()]
    assert str(path) not in held


def test_a_small_stack_is_read_without_what_takes_seconds_to_load(path):
    code = (
        "import sys; from napari_sparsessp import load_volume\n"
        f"assert load_volume({str(path)!r}).numpy().any()\n"
        "print({'bioio', 'ome_types', 'dask', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
