"""A damaged TIFF is an error in one line; it is never read as if it were whole."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume

STACK = np.random.default_rng(0).integers(0, 4000, (7, 30, 40)).astype(np.uint16)


def _tiff_kinds(folder: Path) -> dict[str, bytes]:
    """Layouts that differ in where pixels, page lists and headers lie."""
    files = {"plain": {}, "zipped": {"compression": "zlib"}, "big": {"bigtiff": True}}
    for name, options in files.items():
        tifffile.imwrite(
            folder / f"{name}.tif", STACK[:4], photometric="minisblack", **options
        )
        tifffile.imwrite(
            folder / f"{name}.ome.tif", STACK[:4], metadata={"axes": "ZYX"}, **options
        )
    tifffile.imwrite(
        folder / "imagej.tif", STACK[:4], imagej=True, metadata={"axes": "ZYX"}
    )
    with tifffile.TiffWriter(folder / "pages.tif") as tif:
        for plane in STACK[:4]:
            tif.write(plane, contiguous=False, metadata=None, compression="zlib")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tiff_kinds(tmp_path_factory):
    return _tiff_kinds(tmp_path_factory.mktemp("whole"))


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_truncated_tiffs_are_never_a_traceback_nor_silently_short(
    tiff_kinds, tmp_path_factory, data
):
    name = data.draw(st.sampled_from(sorted(tiff_kinds)))
    whole = tiff_kinds[name]
    length = data.draw(st.integers(0, len(whole) - 1))
    path = tmp_path_factory.getbasetemp() / f"cut_{name}"
    path.write_bytes(whole[:length])
    try:
        volume = load_volume(path)
        found = volume.numpy()
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - the draw may be harmless
    else:  # only what does not matter was cut off, padding at the end
        np.testing.assert_array_equal(found, STACK[:4])


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_flipped_bytes_are_never_a_traceback(tiff_kinds, tmp_path_factory, data):
    name = data.draw(st.sampled_from(sorted(tiff_kinds)))
    damaged = bytearray(tiff_kinds[name])
    for place in data.draw(st.lists(st.integers(0, 1200), min_size=1, max_size=6)):
        damaged[place % len(damaged)] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / f"flipped_{name}"
    path.write_bytes(damaged)
    try:
        volume = load_volume(path)
        if volume.axes == "ZYX" and np.prod(volume.shape) < 1e7:
            volume.planes([0])
    except InputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - the draw may be harmless


def test_damage_that_shows_only_when_read_names_the_file(tmp_path):
    path = tmp_path / "zipped.tif"
    tifffile.imwrite(path, STACK, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[3].dataoffsets[0]
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 40] = bytes(40)
    path.write_bytes(damaged)
    volume = load_volume(path)
    np.testing.assert_array_equal(volume.planes([0]), STACK[:1])
    with pytest.raises(InputError, match=r"zipped\.tif cannot be read to its end"):
        volume.planes([3])
