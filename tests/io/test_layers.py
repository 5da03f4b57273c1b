"""Layers of a viewer in one folder: all of it comes back, or nothing is there."""

import json
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
import yaozarrs
import zarr

from napari_sparsessp.errors import InputError, OutputError
from napari_sparsessp.io.layers import LayerRecord, json_safe, read_layers, write_layers
from napari_sparsessp.io.reading import load_volume

UM = "micrometer"
ABOUT = {"role": "prediction", "structure": "dna", "channel": "dna"}


def record(name="one", axes="ZYX", scale=0.29, **more):
    """A record of a layer with the same scale along all axes."""
    count = len(axes)
    fields = {
        "name": name,
        "axes": axes,
        "axis_labels": tuple(axes.lower()),
        "units": (UM,) * count,
        "scale": (scale,) * count,
        "translate": (0.0,) * count,
        "contrast_limits": (0.0, 2.0),
    }
    return LayerRecord(**{**fields, **more})


def stack(*shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).integers(0, 200, shape)
    return values.astype(dtype)


def read(path):
    return {one.name: (one, levels) for one, levels in read_layers(path)}


@pytest.fixture
def story():
    """A sparse source of whole numbers, and a truth and a prediction on one grid."""
    source = record("light", scale=1.16)
    truth = record("DNA")
    predicted = record("DNA · predicted", about=ABOUT, source=0, truth=1)
    return [
        (source, stack(3, 20, 24, dtype=np.uint16)),
        (truth, stack(9, 40, 48, seed=1)),
        (predicted, stack(9, 40, 48, seed=2)),
    ]


def test_layers_are_channels_of_an_image_a_grid_that_others_can_read(tmp_path, story):
    path = write_layers(tmp_path / "one.ome.zarr", story[1:2] * 2)
    yaozarrs.validate_zarr_store(path)
    assert load_volume(path).axes == "CZYX"
    assert load_volume(path).voxel_size == (0.29, 0.29, 0.29)
    assert load_volume(path).channel_names == ("DNA", "DNA")
    path = write_layers(tmp_path / "a.ome.zarr", story)
    for folder in (path, path / "0", path / "1"):
        yaozarrs.validate_zarr_store(folder)
    light, rest = load_volume(path, scene=0), load_volume(path, scene="1")
    np.testing.assert_array_equal(light.numpy(), story[0][1])
    assert light.array.dtype == np.uint16
    assert light.voxel_size == (1.16, 1.16, 1.16)
    # a prediction's channel is called as the command line calls it
    assert rest.channel_names == ("DNA", "dna")
    np.testing.assert_array_equal(rest.channel("dna").numpy(), story[2][1])


def test_everything_comes_back(tmp_path, story):
    path = write_layers(tmp_path / "a.ome.zarr", story)
    found = read(path)
    assert list(found) == ["light", "DNA", "DNA · predicted"]
    for one, array in story:
        back, levels = found[one.name]
        np.testing.assert_array_equal(np.asarray(levels[0]), array)
        place = {"image": back.image, "channel": back.channel}
        assert back == one.model_copy(update=place)
    assert found["DNA · predicted"][0].about.structure == "dna"
    for chunk in path.rglob("c/*/*/*/*"):  # nothing is read before it is needed
        chunk.write_bytes(b"whoever reads it fails")
    assert list(read(path)) == list(found)


@pytest.mark.parametrize("axes", ["YX", "TYX", "TZYX", "CZYX", "ZCYX", "TCZYX", "XYZ"])
def test_axes_of_any_order_come_back(tmp_path, axes):
    shape = [{"T": 2, "C": 3, "Z": 4, "Y": 5, "X": 6}[letter] for letter in axes]
    array = stack(*shape)
    path = write_layers(tmp_path / "a.zarr", [(record(axes=axes), array)])
    yaozarrs.validate_zarr_store(path)
    back, levels = read(path)["one"]
    assert back.axes == axes
    np.testing.assert_array_equal(np.asarray(levels[0]), array)


@pytest.mark.parametrize("dtype", [bool, "u1", ">u2", "f2", "f4", "f8", "i4"])
def test_values_are_kept_to_the_bit(tmp_path, dtype):
    array = stack(2, 5, 6).astype(dtype)
    path = write_layers(tmp_path / "a.zarr", [(record(), array)])
    np.testing.assert_array_equal(np.asarray(read(path)["one"][1][0]), array)


def test_a_large_lazy_layer_is_written_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sparsessp.io.layers._AT_ONCE", 2**20)
    sizes = []

    def plane(block):
        sizes.append(block.size)
        return block

    array = stack(40, 600, 300, dtype=np.uint8)
    lazy = da.from_array(array, chunks=(8, 64, 300)).map_blocks(plane, dtype=np.uint8)
    meant = []
    write_layers(tmp_path / "a.zarr", [(record(), lazy)], lambda s, *_: meant.append(s))
    found = read(tmp_path / "a.zarr")["one"][1][0]
    np.testing.assert_array_equal(np.asarray(found), array)
    assert len(meant) > 3
    assert meant == sorted(meant)
    assert sum(sizes) < 1.3 * array.size  # each part once, but for chunks cut in two


def test_levels_of_whole_numbers_are_means_not_overflows(tmp_path):
    array = np.full((1, 300, 300), 65535, np.uint16)
    path = write_layers(tmp_path / "a.zarr", [(record(multiscale=True), array)])
    _, levels = read(path)["one"]
    assert [level.shape for level in levels] == [(1, 300, 300), (1, 150, 150)]
    assert (np.asarray(levels[1]) == 65535).all()


def test_a_failure_leaves_nothing(tmp_path, story):
    def stop(share, *_):
        if share > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_layers(tmp_path / "a.ome.zarr", story, stop)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_another_ending_and_no_numbers_are_refused(tmp_path, story):
    with pytest.raises(OutputError, match="ome.zarr"):
        write_layers(tmp_path / "a.ome.tif", story)
    odd = stack(1, 2, 2).astype(complex)
    with pytest.raises(InputError, match="complex"):
        write_layers(tmp_path / "a.ome.zarr", [(record(), odd)])
    path = tmp_path / "plain.zarr"
    zarr.create_group(path, zarr_format=3)
    with pytest.raises(OutputError, match="exists already"):
        write_layers(path, story[:1])
    assert read_layers(path) is None  # none of ours


def attack(file, way, value):
    """Change a value in the metadata of a folder."""
    content = json.loads(file.read_text())
    inner, (*steps, last) = content["attributes"], way
    for step in steps:
        inner = inner[step]
    inner[last] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (["layers", 2, "source"], 7),
        (["layers", 2, "source"], 2),
        (["layers", 0, "image"], 3),
        (["layers", 0, "image"], "../1"),
        (["layers", 1, "channel"], 5),
        (["layers", 0, "scale"], [0, 1, 1]),
        (["layers", 0, "scale"], [1, 1]),
        (["layers", 0, "axes"], "ZZZ"),
        (["layers", 0, "axes"], "TZYX"),
        (["layers", 0, "rotate"], [[1]]),
        (["layers", 0, "contrast_limits"], [1, 1]),
        (["layers", 2, "about", "structure"], {"a": 1}),
        (["layers", 2, "about", "request"], {"model": 1}),
        (["layers", 2, "about", "measured_planes"], "all"),
        (["layers", 0, "extra"], 1),
        (["layers"], []),
        (["layers"], "many"),
        (["schema"], 2),
    ],
)
def test_a_folder_that_lies_is_refused_in_one_line(tmp_path, story, way, value):
    path = write_layers(tmp_path / "a.ome.zarr", story)
    attack(path / "zarr.json", ["sparsessp", *way], value)
    with pytest.raises(InputError, match="cannot be read") as told:
        read_layers(path)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


def test_an_image_outside_of_the_folder_is_refused(tmp_path, story):
    path = write_layers(tmp_path / "a.ome.zarr", story)
    (path / "1").rename(tmp_path / "elsewhere")
    (path / "1").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="outside"):
        read_layers(path)


def test_what_json_cannot_hold_is_made_plain():
    odd = {"a": np.float32(1), 2: (np.nan, np.int8(3)), "b": SimpleNamespace}
    found = json_safe(odd)
    assert json.loads(json.dumps(found)) == found
    assert found["a"] == 1
    assert found["2"] == [None, 3]


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "9", ""])
def test_a_series_leads_nowhere_else(tmp_path, story, name):
    path = write_layers(tmp_path / "a.ome.zarr", story)
    attack(path / "OME" / "zarr.json", ["ome", "series"], [name])
    with pytest.raises(InputError, match="cannot be read"):
        load_volume(path)
