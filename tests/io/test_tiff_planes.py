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


OBJECTIVE = (
    '<Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="{na}" '
    'Immersion="{immersion}"/></Instrument>'
)
SETTINGS = '<ObjectiveSettings ID="Objective:0"{index}/>'


@pytest.mark.parametrize(
    ("na", "immersion", "index", "expected"),
    [
        ("1.25", "Water", "", (1.25, 1.33)),
        ("1.4", "Oil", ' RefractiveIndex="1.518"', (1.4, 1.518)),
        ("0.75", "Other", "", (0.75, None)),
        ("none", "Air", ' RefractiveIndex="-1"', (None, 1.0)),
    ],
)
def test_the_objective_is_read(path, na, immersion, index, expected):
    with tifffile.TiffFile(path) as tif:
        xml = tif.ome_metadata
    objective = OBJECTIVE.format(na=na, immersion=immersion)
    xml = xml.replace("<Image ", f"{objective}<Image ", 1)
    xml = xml.replace("<Pixels ", f"{SETTINGS.format(index=index)}<Pixels ", 1)
    tifffile.tiffcomment(path, xml.encode())
    assert tiff_reading.read_objective(path) == expected


def test_a_file_without_an_objective_has_none(path, tmp_path):
    assert tiff_reading.read_objective(path) == (None, None)
    path.write_bytes(b"no TIFF")
    assert tiff_reading.read_objective(path) == (None, None)
    assert tiff_reading.read_objective(tmp_path / "gone.tif") == (None, None)


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
