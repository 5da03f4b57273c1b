"""Public samples: where they come from, and how they get here or do not."""

import hashlib
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io import samples
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.samples import (
    NEURON_STAINS,
    PUBLIC_SAMPLES,
    atlas_field,
    fetch,
    neurons,
    open_sample,
    pair_of_stacks,
    sample_paths,
    tiled_planes,
    write_stack,
)
from napari_sparsessp.structures import CATALOGUE
from napari_sparsessp.volume import Volume

PAIR = PUBLIC_SAMPLES["hipsc_dna_pair"]


@pytest.fixture(autouse=True)
def samples_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSESSP_SAMPLES", str(tmp_path / "samples"))
    return tmp_path / "samples"


@pytest.fixture
def server(tmp_path, monkeypatch):
    """`server[name]`: what is at the address that ends so; asked addresses in order."""

    class Server(dict):
        """Files by name."""

    files = Server()
    files.asked = []

    def download(url, target, *, sha256, progress, largest):
        files.asked.append((url, sha256))
        source = files[url.rsplit("/", 1)[1]]
        if isinstance(source, Exception):
            raise source
        target.parent.mkdir(parents=True, exist_ok=True)
        size = source.stat().st_size
        assert size < largest
        progress(0, size)
        shutil.copyfile(source, target)
        progress(size, size)
        return target

    monkeypatch.setattr(samples, "download", download)
    for file, path in zip(PAIR.files, pair(tmp_path), strict=True):
        files[file.url.rsplit("/", 1)[1]] = path
    return files


def pair(folder):
    """The files of the pair, of 1 and of 2."""
    paths = folder / "light.tif", folder / "nuc.tif"
    for value, path in enumerate(paths, 1):
        stack = np.full((4, 5, 6), value, np.float32)
        tifffile.imwrite(path, stack, photometric="minisblack")
    return paths


def check_pair(sample):
    (volume,) = open_sample(sample)
    assert (volume.axes, volume.shape) == ("CZYX", (2, 4, 5, 6))
    assert volume.numpy()[:, 0, 0, 0].tolist() == [1, 2]
    assert [path.name for path in sample.folder.iterdir()] == [PAIR.stack]


@pytest.mark.parametrize("sample", PUBLIC_SAMPLES.values(), ids=PUBLIC_SAMPLES)
def test_every_sample_tells_what_it_is_and_is_of_a_fixed_version(sample):
    assert sample.title
    assert sample.licence
    assert sample.credit
    assert sample.size
    for one in sample.files:
        assert re.fullmatch("[0-9a-f]{40}", one.commit)
        assert one.sha256 is None or re.fullmatch("[0-9a-f]{64}", one.sha256)
        assert one.url.startswith("https://raw.githubusercontent.com/")
        assert re.fullmatch(r"[\w./:%-]+", one.url)
    assert len({one.url for one in sample.files}) == len(sample.files)


def test_checksums_are_those_that_are_recorded(shared_data):
    told = shared_data("README.md").read_text(encoding="utf-8")
    recorded = re.findall("[0-9a-f]{64}", told)
    known = [f.sha256 for one in PUBLIC_SAMPLES.values() for f in one.files if f.sha256]
    assert sorted(known) == sorted(recorded)
    assert PAIR.checksum_known
    assert not PUBLIC_SAMPLES["neurons"].checksum_known


def test_nothing_is_asked_before_it_is_fetched(server):
    assert not any(one.is_here for one in PUBLIC_SAMPLES.values())
    with pytest.raises(InputError, match="fetch it first"):
        open_sample(PAIR)
    assert server.asked == []


def test_a_fetched_sample_is_one_ome_tiff_and_stays(server, samples_folder):
    told = []
    fetch(PAIR, lambda share, _total, what: told.append((what, share)))
    assert [sha for _, sha in server.asked] == [one.sha256 for one in PAIR.files]
    check_pair(PAIR)
    shares = [share for _, share in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert "file 2 of 2" in told[-2][0]
    fetch(PAIR)
    assert len(server.asked) == 2


def test_what_has_come_is_not_asked_again(server):
    whole = dict(server)
    server["run_170622_174530_whole_cropped_nuc.tif"] = InputError("no network; wait")
    with pytest.raises(InputError, match="no network"):
        fetch(PAIR)
    assert not PAIR.is_here
    server.update(whole)
    fetch(PAIR)
    names = [url.rsplit("_", 1)[1] for url, _ in server.asked]
    assert names == ["light.tif", "nuc.tif", "nuc.tif"]
    assert PAIR.is_here


def test_the_user_can_stop(server):
    class Stopped(Exception):
        pass

    def progress(share, _total, _what):
        if share > 0.4:
            raise Stopped

    with pytest.raises(Stopped):
        fetch(PAIR, progress)
    assert not PAIR.is_here


@pytest.mark.parametrize(
    ("key", "name", "said"),
    [
        (PAIR.key, "run_170622_174530_whole_cropped_nuc.tif", "not the expected image"),
        ("blood_cells", "example-pbmc.nd2", "cannot be read as an image"),
    ],
)
def test_what_is_not_the_image_is_thrown_away(server, tmp_path, key, name, said):
    (tmp_path / "page").write_text("<html>gone</html>")
    server[name] = tmp_path / "page"
    with pytest.raises(InputError, match=said):
        fetch(PUBLIC_SAMPLES[key])
    assert list(PUBLIC_SAMPLES[key].folder.iterdir()) == []


def test_a_single_file_stays_as_it_is(server, shared_data):
    nikon = shared_data("pbmc_brightfield_dapi_fitc_tritc.nd2")
    server["example-pbmc.nd2"] = nikon
    sample = PUBLIC_SAMPLES["blood_cells"]
    fetch(sample)
    assert sample.paths[0].read_bytes() == nikon.read_bytes()
    (volume,) = open_sample(sample)
    assert volume.channel_names == ("Mono", "DAPI", "FITC BP", "TRITC BP")


def test_a_file_that_cannot_be_written_is_told_and_what_has_come_stays(server):
    PAIR.paths[0].mkdir(parents=True)  # something else has its name
    with pytest.raises(OutputError, match="cannot write the sample"):
        fetch(PAIR)
    PAIR.paths[0].rmdir()
    fetch(PAIR)
    assert len(server.asked) == 2


def test_the_real_download_checks_what_comes(tmp_path, file_server, monkeypatch):
    """Through the real function and a server: wrong bytes first, right ones then."""
    light, nuc = (path.read_bytes() for path in pair(tmp_path))
    parts = tuple(
        replace(one, sha256=hashlib.sha256(content).hexdigest())
        for one, content in zip(PAIR.files, (light, nuc), strict=True)
    )
    sample = replace(PAIR, files=parts)
    real = samples.download
    local = {part.url: file_server.url(part.url[-5:]) for part in parts}
    monkeypatch.setattr(
        samples, "download", lambda url, *args, **how: real(local[url], *args, **how)
    )
    file_server.files |= {"t.tif": light, "c.tif": b"x" * len(nuc)}
    with pytest.raises(InputError, match="not the expected one"):
        fetch(sample)
    assert not sample.is_here
    file_server.files["c.tif"] = nuc
    fetch(sample)
    check_pair(sample)


def png(path, pixels, about=None):
    """A PNG as the public ones are, with the description in it."""
    info = PngImagePlugin.PngInfo()
    if about is not None:
        info.add_text("Description", about)
    Image.fromarray(pixels).save(path, pnginfo=info)
    return path


def side_by_side(stack, columns):
    """Planes row after row, the last row filled up with zeros."""
    count, height, width = stack.shape
    rows = -(-count // columns)
    picture = np.zeros((rows * height, columns * width), stack.dtype)
    for number, plane in enumerate(stack):
        y, x = divmod(number, columns)
        picture[y * height :, x * width :][:height, :width] = plane
    return picture


def test_the_field_of_view_is_cut_out_of_its_atlas(tmp_path, shared_data):
    stack = np.arange(57)[:, None, None] + np.zeros((57, 204, 341))
    stack[:, 10, 20] = 200
    red = side_by_side(stack.astype(np.uint8), 6)
    field = atlas_field(png(tmp_path / "a.png", np.dstack([red, red * 0, red * 0])))
    assert np.array_equal(field.array, stack)
    real = load_volume(shared_data("allen_hipsc_brightfield_fov.ome.tif"))
    assert (field.shape, field.array.dtype) == (real.shape, real.array.dtype)
    assert field.voxel_size == pytest.approx(real.voxel_size)


def test_stacks_and_pictures_become_channels(tmp_path):
    both = pair_of_stacks(*pair(tmp_path))
    assert (both.axes, both.channel_names) == ("CZYX", ("Bright-field", "DNA"))
    assert both.voxel_size == (0.29, 0.29, 0.29)
    phase, stains = neurons(
        [
            png(tmp_path / f"{z}.png", np.full((6, 8), 300 * z, np.uint16))
            for z in range(16)
        ]
    )
    assert phase.array[:, 0, 0].tolist() == [300 * z for z in range(13)]
    assert phase.array.dtype == np.uint16
    assert phase.voxel_size is None
    assert stains.array[:, 0, 0, 0].tolist() == [3900, 4200, 4500]
    assert stains.channel_names == NEURON_STAINS


@pytest.mark.parametrize("columns", [1, 3, 5])
def test_time_points_are_cut_as_their_description_says(tmp_path, columns):
    stacks = np.random.default_rng(0).integers(0, 4000, (2, 5, 7, 9)).astype(np.uint16)
    about = {"tilesize": [7, 9], "ntiles": 5, "layout": [-(-5 // columns), columns]}
    paths = [
        png(tmp_path / f"{t}.png", side_by_side(one, columns), json.dumps(about))
        for t, one in enumerate(stacks)
    ]
    found = tiled_planes(paths)
    assert found.axes == "TZYX"
    assert np.array_equal(found.array, stacks)


@pytest.mark.parametrize(
    "about",
    [
        None,
        "{",
        "[]",
        "{}",
        '{"tilesize": [7], "ntiles": 5, "layout": [1, 5]}',
        '{"tilesize": [7, 9], "ntiles": 5, "layout": [1, 0]}',
        '{"tilesize": [7, 9], "ntiles": 50, "layout": [10, 5]}',
        '{"tilesize": [700, 9], "ntiles": 5, "layout": [1, 5]}',
        '{"tilesize": [-7, 9], "ntiles": 5, "layout": [1, 5]}',
        '{"tilesize": [7, 9], "ntiles": 1e99, "layout": [1, 5]}',
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, about):
    path = png(tmp_path / "a.png", np.zeros((7, 45), np.uint16), about)
    with pytest.raises(InputError, match="not the expected image"):
        tiled_planes([path])


@pytest.mark.parametrize("bad", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n" * 3])
@pytest.mark.parametrize(
    "read", [atlas_field, lambda p: neurons([p] * 4), lambda p: pair_of_stacks(p, p)]
)
def test_what_is_no_picture_is_refused(tmp_path, bad, read):
    (tmp_path / "bad.png").write_bytes(bad)
    with pytest.raises(InputError, match="not the expected image"):
        read(tmp_path / "bad.png")


def test_pictures_of_several_shapes_are_refused(tmp_path):
    sizes = (0, 1, 0, 0, 0)
    paths = [
        png(tmp_path / f"{n}.png", np.zeros((4, 4 + more), np.uint16))
        for n, more in enumerate(sizes)
    ]
    with pytest.raises(InputError, match=r"1\.png\) is a picture of \(4, 5\)"):
        neurons(paths)
    with pytest.raises(InputError, match="not the expected image"):
        atlas_field(paths[0])


@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "TZYX"])
def test_a_written_stack_is_read_back_as_it_was(tmp_path, axes):
    shape = (2,) * (len(axes) - 3) + (3, 5, 6)
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    names = ("Bright-field", "DNA") if "C" in axes else ("Bright-field",)
    size = (0.5, 0.25, 0.25)
    write_stack(tmp_path / "s.ome.tif", Volume(pixels, axes, size, names, name="s"))
    found = load_volume(tmp_path / "s.ome.tif")
    assert (found.axes, found.voxel_size, found.channel_names) == (axes, size, names)
    assert found.numpy().dtype == np.uint16
    assert np.array_equal(found.numpy(), pixels)


def test_sample_and_truth_fit_together_and_are_small_enough_to_ship():
    assert sum(path.stat().st_size for path in sample_paths()) <= 5e6
    stack, truth = (load_volume(path) for path in sample_paths())
    assert stack.axes == "ZYX"
    assert truth.axes == "CZYX"
    assert set(truth.channel_names) <= set(CATALOGUE)
    assert truth.sizes["Z"] == 4 * stack.sizes["Z"]
    assert stack.voxel_size[0] == pytest.approx(4 * truth.voxel_size[0])


def test_a_missing_sample_is_told(monkeypatch):
    monkeypatch.setattr(samples, "_COLONY", ("nothing.ome.tif",))
    with pytest.raises(InputError, match="reinstall"):
        sample_paths()
