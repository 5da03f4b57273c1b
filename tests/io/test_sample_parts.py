"""Pictures become stacks; what is no such picture is refused in one line."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.reading import load_volume
from napari_sparsessp.io.samples import (
    NEURON_STAINS,
    atlas_field,
    label_planes,
    pair_of_stacks,
    phase_planes,
    tiled_planes,
    write_stack,
)


def png(path, pixels, about=None):
    """A PNG as the public ones are, with the description in it."""
    info = PngImagePlugin.PngInfo()
    if about is not None:
        info.add_text("Description", about if isinstance(about, str) else about.text)
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


def test_the_field_of_view_is_cut_out_of_its_atlas(tmp_path):
    stack = np.arange(57, dtype=np.uint8)[:, None, None] + np.zeros(
        (57, 204, 341), np.uint8
    )
    stack[:, 10, 20] = 200
    red = side_by_side(stack, 6)
    field = atlas_field(png(tmp_path / "a.png", np.dstack([red, red * 0, red * 0])))
    assert np.array_equal(field.array, stack)
    assert field.voxel_size == pytest.approx((0.29, 0.33137, 0.29355), abs=1e-5)


def test_the_cut_field_has_the_size_of_the_real_one(shared_data, tmp_path):
    real = load_volume(shared_data("allen_hipsc_brightfield_fov.ome.tif"))
    cut = atlas_field(png(tmp_path / "a.png", np.zeros((2040, 2046, 3), np.uint8)))
    assert cut.shape == real.shape
    assert cut.numpy().dtype == real.numpy().dtype
    assert cut.voxel_size == pytest.approx(real.voxel_size)


def test_two_stacks_become_two_channels(tmp_path):
    light = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    tifffile.imwrite(tmp_path / "light.tif", light, photometric="minisblack")
    tifffile.imwrite(tmp_path / "nuc.tif", -light, photometric="minisblack")
    pair = pair_of_stacks(tmp_path / "light.tif", tmp_path / "nuc.tif")
    assert (pair.axes, pair.channel_names) == ("CZYX", ("Bright-field", "DNA"))
    assert np.array_equal(pair.array, [light, -light])
    assert pair.voxel_size == (0.29, 0.29, 0.29)


def test_planes_and_stains_of_the_neurons(tmp_path):
    planes = [
        png(tmp_path / f"{z}.png", np.full((6, 8), 300 * z, np.uint16))
        for z in range(3)
    ]
    phase, stains = phase_planes(planes), label_planes(planes)
    assert phase.array[:, 0, 0].tolist() == [0, 300, 600]
    assert phase.array.dtype == np.uint16
    assert phase.voxel_size is None
    assert stains.shape == (3, 1, 6, 8)
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
        '{"tilesize": [0, 9], "ntiles": 5, "layout": [1, 5]}',
        '{"tilesize": [7, 9], "ntiles": 1e99, "layout": [1, 5]}',
    ],
)
def test_a_description_that_does_not_fit_is_refused(tmp_path, about):
    path = png(tmp_path / "a.png", np.zeros((7, 45), np.uint16), about)
    with pytest.raises(InputError, match="not the expected image"):
        tiled_planes([path])


@pytest.mark.parametrize("bad", [b"", b"<html>404</html>", b"\x89PNG\r\n\x1a\n" * 3])
@pytest.mark.parametrize(
    "read", [atlas_field, lambda p: phase_planes([p]), lambda p: pair_of_stacks(p, p)]
)
def test_what_is_no_picture_is_refused(tmp_path, bad, read):
    (tmp_path / "bad.png").write_bytes(bad)
    with pytest.raises(InputError, match="not the expected image"):
        read(tmp_path / "bad.png")


def test_pictures_of_several_shapes_are_refused(tmp_path):
    paths = [
        png(tmp_path / f"{n}.png", np.zeros((4, 4 + n), np.uint16)) for n in (0, 1)
    ]
    with pytest.raises(InputError, match=r"1\.png\) is a picture of \(4, 5\)"):
        phase_planes(paths)


def test_another_atlas_is_refused(tmp_path):
    path = png(tmp_path / "a.png", np.zeros((2040, 2045, 3), np.uint8))
    with pytest.raises(InputError, match="not the expected image"):
        atlas_field(path)


@pytest.mark.parametrize("axes", ["ZYX", "CZYX", "TZYX"])
def test_a_written_stack_is_read_back_as_it_was(tmp_path, axes):
    from napari_sparsessp.volume import Volume

    shape = (2,) * (len(axes) - 3) + (3, 5, 6)
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    names = ("Bright-field", "DNA") if "C" in axes else ("Bright-field",)
    size = (0.5, 0.25, 0.25)
    write_stack(tmp_path / "s.ome.tif", Volume(pixels, axes, size, names, name="s"))
    found = load_volume(tmp_path / "s.ome.tif")
    assert (found.axes, found.voxel_size, found.channel_names) == (axes, size, names)
    assert found.numpy().dtype == np.uint16
    assert np.array_equal(found.numpy(), pixels)
