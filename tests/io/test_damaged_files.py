"""A damaged TIFF is an error in one line; it is never read as if it were whole."""

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume

STACK = np.random.default_rng(0).integers(0, 4000, (7, 30, 40)).astype(np.uint16)


@pytest.fixture(scope="module")
def tiff_kinds(tmp_path_factory):
    """Layouts that differ in where pixels, page lists and headers lie."""
    folder, zyx = tmp_path_factory.mktemp("whole"), {"axes": "ZYX"}
    files = {"plain": {}, "zipped": {"compression": "zlib"}, "big": {"bigtiff": True}}
    for name, how in files.items():
        plain = {"photometric": "minisblack", **how}
        tifffile.imwrite(folder / f"{name}.tif", STACK[:4], **plain)
        tifffile.imwrite(folder / f"{name}.ome.tif", STACK[:4], metadata=zyx, **how)
    tifffile.imwrite(folder / "imagej.tif", STACK[:4], imagej=True, metadata=zyx)
    with tifffile.TiffWriter(folder / "pages.tif") as tif:
        for plane in STACK[:4]:
            tif.write(plane, contiguous=False, metadata=None, compression="zlib")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
