"""Layers saved and opened again; what files say of looks is believed with care."""

import json

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image
from napari.utils import Colormap

from napari_sparsessp.errors import InputError
from napari_sparsessp.io.layers import LayerRecord, write_layers
from napari_sparsessp.io.writing import write_prediction
from napari_sparsessp.ui.layers.metadata import KEY, FilePlace, file_of
from napari_sparsessp.ui.layers.opening import get_reader, open_file
from napari_sparsessp.ui.layers.saving import records_of, save_layers
from napari_sparsessp.ui.napari_compat import layer_key
from napari_sparsessp.volume import Volume

pytestmark = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")


@pytest.fixture
def folder(tmp_path):
    """Two layers on one grid."""
    fields = {
        "axes": "ZYX",
        "axis_labels": ("z", "y", "x"),
        "units": ("micrometer",) * 3,
        "scale": (0.29,) * 3,
        "translate": (0.0,) * 3,
        "contrast_limits": (0.0, 1.0),
    }
    about = {"role": "prediction", "structure": "dna"}
    source = LayerRecord(name="light", **fields)
    made = LayerRecord(name="DNA", about=about, source=0, **fields)
    array = np.ones((2, 5, 6), np.float32)
    return write_layers(tmp_path / "a.ome.zarr", [(source, array), (made, array)])


def change(folder, name, value):
    file = folder / "zarr.json"
    content = json.loads(file.read_text())
    content["attributes"]["sparsessp"]["layers"][1][name] = value
    file.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("units", ["micrometer", "furlongs per", "micrometer"]),
        ("blending", "over there"),
        ("rendering", "__class__"),
        ("colormap", "no such map"),
    ],
)
def test_unknown_looks_are_reported_in_one_line(folder, name, value):
    change(folder, name, value)
    with pytest.raises(InputError, match="cannot be shown") as told:
        open_file(str(folder))
    assert "\n" not in str(told.value)


def saved(path, *layers, ties=True):
    """Save as napari's dialog does; without `ties` as where there is no viewer."""
    tuples = [one.as_layer_data_tuple() for one in layers]
    copies = [
        (data, {**state, "metadata": dict(state["metadata"])}, kind)
        for data, state, kind in tuples
    ]
    if ties:
        return write_layers(path, records_of(tuples, layers))
    (name,) = save_layers(str(path), copies)
    return name


def test_opening_twice_ties_each_to_its_own(folder):
    once, again = open_file(str(folder)), open_file(str(folder))
    for light, dna in (once, again):
        assert dna.metadata[KEY]["source_id"] == str(light.unique_id)


def test_colours_and_transforms_come_back(tmp_path):
    uneven = Colormap(
        [[0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 1]], controls=[0, 0.2, 1], name="uneven"
    )
    steps = Colormap(
        [[0, 0, 0, 1], [1, 0, 0, 1]], controls=[0, 0.3, 1], interpolation="zero"
    )
    layers = [
        Image(np.ones((2, 4, 5)), colormap=one, rotate=(10, 0, 0), shear=(0.1, 0, 0.2))
        for one in (uneven, steps)
    ]
    layers[0].affine = np.diag([1.0, 2.0, 3.0, 1.0])
    path = saved(tmp_path / "c.ome.zarr", *layers)
    for was, now in zip(layers, open_file(str(path)), strict=True):
        some = np.linspace(0, 1, 33)
        np.testing.assert_allclose(now.colormap.map(some), was.colormap.map(some))
        for name in ("rotate", "shear"):
            np.testing.assert_allclose(getattr(now, name), getattr(was, name))
        np.testing.assert_allclose(now.affine.affine_matrix, was.affine.affine_matrix)


def test_lazy_and_multiscale_layers_come_back_so(tmp_path):
    array = np.random.default_rng(0).integers(0, 99, (4, 300, 280)).astype(np.uint16)
    levels = [da.from_array(array), da.from_array(array[:, ::2, ::2])]
    layers = Image(levels, multiscale=True), Image(da.from_array(array), name="lazy")
    path = str(saved(tmp_path / "lazy.ome.zarr", *layers))
    first, second = open_file(path)
    assert (first.multiscale, second.multiscale) == (True, False)
    np.testing.assert_array_equal(np.asarray(first.data[0]), array)
    assert file_of(first) == FilePlace(path, None, 0)
    assert file_of(second) == FilePlace(path, None, 1)


def test_an_error_is_tied_to_its_prediction_and_truth(folder, tmp_path):
    light, dna = open_file(str(folder))
    truth = Image(np.ones((2, 5, 6)), name="truth")
    about = {"role": "error", "structure": "dna", "of_id": layer_key(dna)}
    about |= {"source_id": layer_key(light), "truth_id": layer_key(truth)}
    error = Image(np.zeros((2, 5, 6), np.float32), name="E", metadata={KEY: about})
    path = saved(tmp_path / "b.ome.zarr", light, dna, truth, error)
    again = {one.name: one for one in open_file(str(path))}
    found = again["E"].metadata[KEY]
    assert found["of_id"] == layer_key(again["DNA"])
    assert found["truth_id"] == layer_key(again["truth"])
    (lost,) = open_file(str(saved(tmp_path / "c.ome.zarr", error)))
    assert (lost.metadata[KEY]["of_id"], lost.metadata[KEY]["truth_id"]) == (None, None)


def test_saving_without_a_viewer_ties_layers_by_name(folder, tmp_path):
    path = saved(tmp_path / "plain", *open_file(str(folder)), ties=False)
    assert path.endswith("plain.ome.zarr")
    light, dna = open_file(path)
    assert dna.metadata[KEY]["source_id"] == layer_key(light)


def test_colour_pictures_are_refused_before_anything_is_written(tmp_path):
    photo = Image(np.zeros((8, 9, 3), np.uint8), rgb=True, name="photo")
    with pytest.raises(InputError, match="photo"):
        saved(tmp_path / "a.ome.zarr", photo)
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_left_to_others_and_images_of_others_open_plainly(tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "damaged.zarr").mkdir()
    (tmp_path / "damaged.zarr" / "zarr.json").write_text("{")
    for path in tmp_path.iterdir():
        assert get_reader(str(path)) is None
    assert get_reader([str(tmp_path)]) is None
    path = tmp_path / "theirs.ome.zarr"
    image = Volume(np.ones((2, 4, 5, 6), np.float32), "CZYX", (2.0, 0.5, 0.5))
    write_prediction(path, image, ["stain", "dna"])
    first, second = get_reader(str(path))(str(path))
    assert tuple(first.scale) == (2.0, 0.5, 0.5)
    assert [first.name, second.name] == ["theirs · stain", "theirs · dna"]
    assert file_of(second).channel == 1
