"""A prediction is on disk whole, in its place in space, or not at all."""

import errno
import json
import subprocess
import sys
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import yaozarrs
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.writing import check_output, read_provenance, write_prediction
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.volume import Volume

IDS = ("dna", "golgi_apparatus", "map2")
ENDINGS = (".ome.tif", ".ome.zarr")
ORIGIN = (1.45, -20.5, 300.125)
PROVENANCE = {"model": {"id": "colony"}, "planes": [0, 4], "µ": None, "<&>": '"'}


def _prediction(times=0, depth=5, height=40, width=33, **changes):
    shape = (len(IDS), depth, height, width)
    shape = (times, *shape) if times else shape
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    fields = {"voxel_size": (0.29, 0.2, 0.1), "channel_names": IDS, "origin": ORIGIN}
    return Volume(data, "TCZYX" if times else "CZYX", **(fields | changes))


def _left(folder):
    return sorted(path.name for path in Path(folder).iterdir())


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module="pydantic")
        yield


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("times", [0, 3])
def test_voxels_sizes_names_and_place_come_back(tmp_path, ending, times):
    result = _prediction(times)
    path = write_prediction(tmp_path / f"out{ending}", result, IDS, PROVENANCE)
    back = load_volume(path)
    assert back.axes == result.axes
    assert back.array.dtype == np.float32
    assert back.voxel_size == result.voxel_size
    assert back.origin == ORIGIN
    assert back.channel_names == IDS
    assert back.name == "out"
    np.testing.assert_array_equal(back.numpy(), result.array)
    assert read_provenance(path) == PROVENANCE
    assert _left(tmp_path) == [f"out{ending}"]


@settings(deadline=None, max_examples=15)
@given(data=st.data())
@pytest.mark.parametrize("ending", ENDINGS)
def test_any_believable_size_and_place_round_trips(tmp_path_factory, ending, data):
    size = st.floats(0.002, 900).filter(lambda value: value != 1)
    voxel = tuple(data.draw(size) for _ in "zyx")
    origin = tuple(data.draw(st.floats(-1e5, 1e5)) for _ in "zyx")
    depth, height, width = (data.draw(st.integers(1, 9)) for _ in "zyx")
    result = _prediction(0, depth, height, width, voxel_size=voxel, origin=origin)
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    back = load_volume(write_prediction(path, result, IDS, overwrite=True))
    assert back.shape == result.shape
    assert back.voxel_size == pytest.approx(voxel)
    assert back.origin == pytest.approx(origin, abs=1e-9)


@pytest.mark.parametrize("ending", ENDINGS)
def test_lazy_predictions_are_written_in_pieces_and_unknown_sizes_stay_so(
    tmp_path, ending
):
    whole = _prediction(voxel_size=None)
    read = []

    def piece(block):
        read.append(block.shape)
        return block

    lazy = da.from_array(whole.array, chunks=(1, 1, 40, 33)).map_blocks(
        piece, dtype="float64", meta=np.zeros((0,) * 4)
    )
    path = write_prediction(tmp_path / f"out{ending}", whole.with_(array=lazy), IDS)
    np.testing.assert_array_equal(load_volume(path).numpy(), whole.array)
    assert load_volume(path).array.dtype == np.float32
    assert len(read) == 15
    assert load_volume(path).voxel_size is None
    assert read_provenance(path) is None


def test_ome_tiff_is_valid_and_says_all_that_viewers_want(tmp_path):
    import ome_types

    path = write_prediction(tmp_path / "out.ome.tif", _prediction(2), IDS, PROVENANCE)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert not tif.is_bigtiff
        assert tif.series[0].axes == "TCZYX"
        ome = ome_types.from_xml(tif.ome_metadata)
    pixels = ome.images[0].pixels
    assert ome.images[0].name == "out"
    assert [channel.name for channel in pixels.channels] == list(IDS)
    colour = pixels.channels[0].color.as_hex(format="long").lower()
    assert colour[:7] == CATALOGUE["dna"].colour
    assert pixels.physical_size_z_unit.value == "µm"
    third = next(plane for plane in pixels.planes if plane.the_z == 2)
    assert third.position_z == pytest.approx(ORIGIN[0] + 2 * 0.29)
    assert third.position_x == ORIGIN[2]
    (comment,) = ome.structured_annotations
    assert json.loads(comment.value) == PROVENANCE


def test_more_than_four_gigabytes_become_bigtiff(tmp_path, monkeypatch):
    from napari_sparsessp.io import ome

    monkeypatch.setattr(ome, "_CLASSIC_LIMIT", 1000)
    path = write_prediction(tmp_path / "out.ome.tif", _prediction(), IDS)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff
    np.testing.assert_array_equal(load_volume(path).numpy(), _prediction().array)


def test_ome_zarr_is_valid_ngff_with_names_colours_and_a_pyramid(tmp_path):
    result = _prediction(0, 3, 300, 601)
    result.array[1] = np.nan  # masked
    path = write_prediction(tmp_path / "out.ome.zarr", result, IDS, PROVENANCE)
    yaozarrs.validate_zarr_store(path)
    group = zarr.open_group(path, mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    shapes = [group[d["path"]].shape for d in ome["multiscales"][0]["datasets"]]
    assert shapes == [(3, 3, 300, 601), (3, 3, 150, 301), (3, 3, 75, 151)]
    assert group["0"].metadata.dimension_names == ("c", "z", "y", "x")
    labels = [(one["label"], one["color"]) for one in ome["omero"]["channels"]]
    assert labels[0] == ("dna", CATALOGUE["dna"].colour[1:].upper())
    assert [label for label, _ in labels] == list(IDS)
    half = result.array[:, :, :300, :600].reshape(3, 3, 150, 2, 300, 2).mean((3, 5))
    np.testing.assert_allclose(group["1"][..., :300], half, atol=1e-6)
    edges = []  # coarse levels lie where the fine one does
    for level in ome["multiscales"][0]["datasets"]:
        scale, shift = (
            np.array(step[step["type"]]) for step in level["coordinateTransformations"]
        )
        edges.append((shift - scale / 2)[1:])
    np.testing.assert_allclose(edges[1:], edges[:1] * 2)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_output_is_replaced_only_if_asked_and_a_link_to_it_stays(
    tmp_path, ending
):
    real, link = tmp_path / f"real{ending}", tmp_path / f"link{ending}"
    write_prediction(real, _prediction(), IDS)
    link.symlink_to(real, target_is_directory=real.is_dir())
    with pytest.raises(OutputError, match="exists already"):
        write_prediction(real, _prediction(), IDS)
    other = _prediction(depth=2)
    assert write_prediction(link, other, IDS, overwrite=True) == link
    assert load_volume(real).shape == load_volume(link).shape == other.shape
    assert link.is_symlink()
    assert _left(tmp_path) == [link.name, real.name]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("failure", "expected", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), OutputError, "disk is full"),
        (OSError(errno.EIO, "Input/output error"), OutputError, "Input/output error"),
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (MemoryError(), MemoryError, None),
    ],
)
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(
    tmp_path, ending, failure, expected, message
):
    class Failing:
        def __init__(self, data):
            self.data, self.shape, self.dtype = data, data.shape, data.dtype

        def __getitem__(self, index):
            if index[0] == 2:  # the third structure
                raise failure
            return self.data[index]

    path = tmp_path / f"out{ending}"
    good = _prediction()
    bad = good.with_(array=Failing(good.array))
    with pytest.raises(expected, match=message):
        write_prediction(path, bad, IDS)
    assert _left(tmp_path) == []
    write_prediction(path, good, IDS)
    with pytest.raises(expected, match=message):
        write_prediction(path, bad, IDS, overwrite=True)
    assert _left(tmp_path) == [path.name]
    np.testing.assert_array_equal(load_volume(path).numpy(), good.array)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(tmp_path, ending):
    """A real limit of the operating system, in a process of its own."""
    code = f"""
import resource, signal, numpy as np
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.volume import Volume
from napari_sparsessp.errors import OutputError
data = np.random.default_rng(0).normal(size=(1, 8, 256, 256)).astype("f4")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    write_prediction(r"{tmp_path / "out"}{ending}", Volume(data, "CZYX", None), ["dna"])
except OutputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("the disk is full, or its quota is used up")
    assert done.stdout.count("\n") == 1
    assert _left(tmp_path) == []


def test_outputs_are_checked_before_the_work(tmp_path):
    assert check_output(str(tmp_path / "new.ome.tif")) == tmp_path / "new.ome.tif"
    for name in ("out.png", "out", ".ome.tif", "out.ome.tif.txt"):
        with pytest.raises(OutputError, match="unknown ending"):
            check_output(tmp_path / name)
    with pytest.raises(OutputError, match="does not exist; create it"):
        check_output(tmp_path / "nowhere" / "out.ome.tif")
    with pytest.raises(OutputError, match="2 structures"):
        write_prediction(tmp_path / "out.ome.tif", _prediction(), IDS[:2])
    assert _left(tmp_path) == []


def test_folders_of_the_user_are_never_replaced(tmp_path):
    for name in ("own.ome.zarr", "own.ome.tif"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "thesis.txt").write_text("precious")
        with pytest.raises(OutputError, match="not a result of this kind"):
            check_output(folder, overwrite=True)
        assert (folder / "thesis.txt").exists()
    (tmp_path / "file.ome.zarr").touch()
    with pytest.raises(OutputError, match="not a result of this kind"):
        check_output(tmp_path / "file.ome.zarr", overwrite=True)


def test_a_read_only_file_system_is_told(tmp_path, monkeypatch):
    def refuse(dir):  # noqa: A002 - tempfile's own name
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(OutputError, match="Read-only file system; choose another"):
        check_output(tmp_path / "out.ome.tif")


def test_provenance_of_other_images_is_none_or_an_error(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((4, 5), np.uint8))
    assert read_provenance(tmp_path / "plain.tif") is None
    (tmp_path / "text.tif").write_text("hello")
    for name in ("text.tif", "missing.ome.tif"):
        with pytest.raises(InputError):
            read_provenance(tmp_path / name)
